"""``scripts/import-checkpoint``: somebody's checkpoint -> released weights with a model card."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from archive.rehearsal import rehearse
from archive.store import MODEL_NAME, MODEL_STORE, release_folder
from handler.card import SEQUENCES, FileRecord, InputSpec, ModelCard
from handler.network import build
from training.release.folder import write_release
from training.release.published import PublishedCheckpoint, read_published

console = Console(soft_wrap=True, highlight=False)
UNKNOWN_LICENCE = "as stated by the author of the checkpoint; weights trained on the LGG data inherit CC BY-NC-SA 4.0"


def spec_of(sequences: list[str] | None, mean: list[float] | None, std: list[float] | None) -> InputSpec:
    """The input of a network that sees ``sequences`` (None: all three), normalised as ImageNet's red, green and blue
    are where nothing else is said. Raises ``ValueError`` for numbers that do not fit each other."""
    named = InputSpec(sequences=tuple(sequences or SEQUENCES))
    own = [[numbers[SEQUENCES.index(name)] for name in SEQUENCES if name in named.sequences]
           for numbers in (named.mean, named.std)]  # fmt: skip
    spec = replace(named, mean=tuple(mean or own[0]), std=tuple(std or own[1]))
    spec.check(len(named.sequences))
    return spec


def card_for(checkpoint: PublishedCheckpoint, version: str, source: str, spec: InputSpec) -> ModelCard:
    """The card of an imported checkpoint: what the file says of itself, marked as such."""
    stated = {"as_stated_in_checkpoint": {**checkpoint.scores, "policy": "not known: the checkpoint does not say"}}
    return ModelCard(
        name=MODEL_NAME,
        version=version,
        weights=FileRecord("weights.safetensors", "", 0),  # filled in by write_release
        architecture=checkpoint.architecture,
        input=spec,
        recipe={"imported_from": source, "epoch": checkpoint.epoch},
        metrics=stated if checkpoint.scores else {},
        licences={"weights": UNKNOWN_LICENCE},
    )


def main(
    file: Annotated[
        Path, typer.Argument(help="The checkpoint: a state_dict, bare or under model_state_dict or state_dict.")
    ],
    version: Annotated[str, typer.Option(help="The version the release gets.")],
    encoder: Annotated[
        str | None,
        typer.Option(help="Its name in segmentation_models_pytorch; default: found by the tensors."),
    ] = None,
    sequence: Annotated[
        list[str] | None,
        typer.Option(help=f"What its channels are: {', '.join(SEQUENCES)}; may be repeated. All if not given."),
    ] = None,
    mean: Annotated[
        list[float] | None,
        typer.Option(help="Taken off a channel, 0..1; once for each. ImageNet's if not given."),
    ] = None,
    std: Annotated[list[float] | None, typer.Option(help="What it is then divided by, likewise.")] = None,
    model_store: Annotated[Path, typer.Option(help="Where the release folder is made.")] = MODEL_STORE,
) -> None:
    """Turn a checkpoint of segmentation_models_pytorch into released weights. Nothing in it is executed. It is packaged
    once as a trial, with other weights, so that what cannot be served is said now."""
    folder = release_folder(version, model_store)
    try:
        if folder.exists():
            raise ValueError(f"{folder} exists; a release is never overwritten. Choose another --version.")
        spec = spec_of(sequence, mean, std)
        checkpoint = read_published(file, encoder, sequence)
        for line in rehearse(build(checkpoint.architecture), checkpoint.architecture, spec):
            console.print(escape(line))
        card = write_release(folder, checkpoint.state, card_for(checkpoint, version, file.name, spec))
    except (ValueError, OSError) as error:
        console.print(f"[red]not imported:[/red] {escape(str(error))}")
        raise typer.Exit(1) from error
    console.print(escape(f"{folder}: {card.architecture.label}, {card.weights.sha256}"))
    words = ["./scripts/package", version]
    words += [] if model_store == MODEL_STORE else ["--model-store", str(model_store)]
    console.print(escape(f"package it with: {shlex.join(words)}"))


if __name__ == "__main__":
    typer.run(main)
