"""``scripts/import-checkpoint``: somebody's checkpoint -> released weights with a model card."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from archive.store import MODEL_NAME, MODEL_STORE, release_folder
from handler.card import FileRecord, ModelCard
from training.release.folder import write_release
from training.release.published import PublishedCheckpoint, read_published

console = Console(soft_wrap=True, highlight=False)
UNKNOWN_LICENCE = "as stated by the author of the checkpoint; weights trained on the LGG data inherit CC BY-NC-SA 4.0"


def card_for(checkpoint: PublishedCheckpoint, version: str, source: str) -> ModelCard:
    """The card of an imported checkpoint: what the file says of itself, marked as such."""
    stated = {"as_stated_in_checkpoint": {**checkpoint.scores, "policy": "not known: the checkpoint does not say"}}
    return ModelCard(
        name=MODEL_NAME,
        version=version,
        weights=FileRecord("weights.safetensors", "", 0),  # filled in by write_release
        architecture=checkpoint.architecture,
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
    model_store: Annotated[Path, typer.Option(help="Where the release folder is made.")] = MODEL_STORE,
) -> None:
    """Turn a checkpoint of a U-Net (segmentation_models_pytorch) into released weights. Nothing in it is executed."""
    folder = release_folder(version, model_store)
    try:
        if folder.exists():
            raise ValueError(f"{folder} exists; a release is never overwritten. Choose another --version.")
        checkpoint = read_published(file, encoder)
        card = write_release(folder, checkpoint.state, card_for(checkpoint, version, file.name))
    except (ValueError, OSError) as error:
        console.print(f"[red]not imported:[/red] {escape(str(error))}")
        raise typer.Exit(1) from error
    console.print(escape(f"{folder}: {card.architecture.label}, {card.weights.sha256}"))
    words = ["./scripts/package", version]
    words += [] if model_store == MODEL_STORE else ["--model-store", str(model_store)]
    console.print(escape(f"package it with: {shlex.join(words)}"))


if __name__ == "__main__":
    typer.run(main)
