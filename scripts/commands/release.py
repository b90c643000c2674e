"""scripts/release: from a checkpoint to released weights with card, licence and reports."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from archive.inputs import sample_files
from archive.known import misjudged, record
from handler.pipeline import open_model
from handler.resources import plan
from progress.bars import Bars
from settings.mapping import SettingsError
from training.data.cases import DataError, data_folder
from training.data.split import LeakError
from training.fit.start import StartWeightsError
from training.release.card import read_checkpoint
from training.release.publish import Order, publish
from training.release.regions import RegionsOrder, publish_regions

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console(stderr=True)


def _check_meant(labels: bool, of_labels: Mapping[str, object], of_one_class: Mapping[str, object]) -> None:
    """Raises SettingsError for an option that the kind of network has no use for: a licence that was given and is not
    in the card would be missed by nobody."""
    if given := [name for name, value in (of_one_class if labels else of_labels).items() if value]:
        kind = "of several classes" if labels else "of one class"
        raise SettingsError(
            f"{', '.join(given)}: not for a network {kind}, as the checkpoint's recipe has it; leave it out"
        )


@app.command()
def main(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint of scripts/train, in its run folder.")],
    version: Annotated[str, typer.Option(help="Version of the release, such as 1.0.")],
    out: Annotated[Path, typer.Option(help="Folder of the release, such as model_store/brainseg-1.0.")],
    data: Annotated[Path | None, typer.Option(help="Folder in the kaggle_3m layout; else BRAINSEG_DATA.")] = None,
    attribution: Annotated[str, typer.Option(help="Credit and licence of the weights training started from.")] = "",
    test: Annotated[
        bool, typer.Option(help="Judge on the test cases too; leave out until the release is final.")
    ] = True,
    twin: Annotated[
        Path | None,
        typer.Option(help="For a run with --refit: the release of the same run without it, which chose the settings."),
    ] = None,
    judged: Annotated[
        list[Path] | None,
        typer.Option(help="With labels: report.json of a run that left a patient out; may be repeated."),
    ] = None,
    data_set: Annotated[str, typer.Option(help="With labels: what the weights were trained on, with its source.")] = "",
    licence: Annotated[str, typer.Option(help="With labels: the licence that the weights inherit from that.")] = "",
) -> None:
    """Chooses calibration, threshold and smallest lesion on validation cases, then judges and writes the release."""
    bars = Bars(console)
    try:
        trained = read_checkpoint(checkpoint)
        of_labels = {"--judged": judged, "--data-set": data_set, "--licence": licence}
        _check_meant(bool(trained.recipe.labels), of_labels, {"--twin": twin})
        if trained.recipe.labels:
            order = RegionsOrder(
                checkpoint, version, out, data_set, licence, tuple(judged or ()), attribution, judge_test=test
            )
            card = publish_regions(order, trained, data_folder(data), bars)
        else:
            card = publish(Order(checkpoint, version, out, attribution, test, twin), data_folder(data), bars)
    except (DataError, SettingsError, StartWeightsError, LeakError, OSError, ValueError) as error:
        console.print(f"[bold red]release:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error
    finally:
        bars.close()
    typer.echo(
        f"released {card.name} {card.version} in {out}: {card.weights.bytes / 1e6:.1f} MB, {card.weights.sha256}"
    )
    scale, offset = card.calibration.platt
    typer.echo(
        f"threshold {card.threshold}, smallest lesion {card.min_lesion_pixels} pixels, "
        f"calibration {scale:.3f} * logit {offset:+.3f}"
    )
    if trained.recipe.labels:
        return  # what the samples show are pictures with a skull, which no such network has been trained on
    wrong = misjudged(record(open_model(out, "torch", plan().threads), sample_files()))
    typer.echo(f"samples: {'; '.join(wrong) or 'each gets the verdict it was drawn for'}")


if __name__ == "__main__":
    app()
