"""``scripts/import-checkpoint``: a checkpoint in the published form -> released weights with a model card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from archive.store import MODEL_NAME, MODEL_STORE, release_folder
from handler.card import Architecture, FileRecord, ModelCard
from training.release.folder import write_release
from training.release.published import PublishedCheckpoint, read_published

console = Console(soft_wrap=True, highlight=False)
UNKNOWN_LICENCE = "as stated by the author of the checkpoint; weights trained on the LGG data inherit CC BY-NC-SA 4.0"


def card_for(checkpoint: PublishedCheckpoint, architecture: Architecture, version: str, source: str) -> ModelCard:
    """The card of an imported checkpoint: what the file says of itself, marked as such."""
    scores = {"val_iou": checkpoint.val_iou, "val_dice": checkpoint.val_dice}
    return ModelCard(
        name=MODEL_NAME,
        version=version,
        weights=FileRecord("weights.safetensors", "", 0),  # filled in by write_release
        architecture=architecture,
        recipe={"imported_from": source, "epoch": checkpoint.epoch},
        metrics={"as_stated_in_checkpoint": {**scores, "policy": "not known: the checkpoint does not say"}},
        licences={"weights": UNKNOWN_LICENCE},
    )


def main(
    file: Annotated[Path, typer.Argument(help="The checkpoint (model_state_dict, epoch, val_iou, val_dice).")],
    version: Annotated[str, typer.Option(help="The version the release gets.")],
    encoder: Annotated[str, typer.Option(help="The encoder's name in segmentation_models_pytorch.")] = "vgg16",
    model_store: Annotated[Path, typer.Option(help="Where the release folder is made.")] = MODEL_STORE,
) -> None:
    """Turn a checkpoint in the published form into released weights. Nothing in the file is executed."""
    folder = release_folder(version, model_store)
    architecture = Architecture(encoder=encoder)
    try:
        if folder.exists():
            raise ValueError(f"{folder} exists; a release is never overwritten. Choose another --version.")
        checkpoint = read_published(file, architecture)
        card = write_release(folder, checkpoint.state, card_for(checkpoint, architecture, version, file.name))
    except (ValueError, OSError) as error:
        console.print(f"[red]not imported:[/red] {error}")
        raise typer.Exit(1) from error
    console.print(f"{folder}: {card.architecture.label}, {card.weights.sha256}")
    console.print(f"package it with: scripts/package {version}")


if __name__ == "__main__":
    typer.run(main)
