"""scripts/train: trains by a recipe; run it again with the same folder to go on where it stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from archive.rehearsal import rehearse
from progress.bars import counting
from settings.mapping import SettingsError
from training.data.cases import DataError, data_folder
from training.data.sources import find_slices
from training.data.split import Fold, LeakError
from training.fit.alone import InUseError
from training.fit.architecture import architecture_of, input_spec, network_of
from training.fit.diverged import TrainingDivergedError
from training.fit.machine import Machine
from training.fit.origin import RunError, Start
from training.fit.recipe import Recipe, load_recipe
from training.fit.run import RECIPE_FILE, Sides, train
from training.fit.start import StartWeightsError
from training.fit.told_to_end import StoppedError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console(stderr=True)


def _rehearse(recipe: Recipe) -> None:
    """What cannot be packaged is said now, not when the training is done. Raises SettingsError for it."""
    try:
        for line in rehearse(network_of(recipe), architecture_of(recipe), input_spec(recipe)):
            console.print(f"train: {escape(line)}", highlight=False, soft_wrap=True)
    except SettingsError:
        raise
    except ValueError as error:
        raise SettingsError(f"this network could never be packaged: {error}") from error


@app.command()
def main(
    run: Annotated[Path, typer.Option(help="Folder of the run: checkpoints, logs, split; made when missing.")],
    recipe: Annotated[str, typer.Option(help="A recipe's name or the path of a YAML file.")] = "cpu",
    data: Annotated[
        Path | None, typer.Option(help="Folder in the kaggle_3m layout, for labels of BraTS's; else BRAINSEG_DATA.")
    ] = None,
    split: Annotated[Path | None, typer.Option(help="Use this split file instead of drawing one.")] = None,
    fold: Annotated[
        str | None,
        typer.Option(help="K/N: leave out part K of N of the training cases and validate on it (cross-validation)."),
    ] = None,
    every_case: Annotated[
        bool,
        typer.Option("--every-case", help="With --fold: part K of N of all cases tests, all others are trained on."),
    ] = False,
    refit: Annotated[
        bool, typer.Option(help="Train on the validation cases too, for a recipe that they have already judged.")
    ] = False,
    encoder_weights: Annotated[str, typer.Option(help="imagenet, none, or a safetensors file.")] = "none",
    init: Annotated[
        str | None, typer.Option(help="Fine-tune from a released folder, safetensors or checkpoint.")
    ] = None,
    teacher: Annotated[
        list[str] | None, typer.Option(help="Learn from this released folder or checkpoint too; may be repeated.")
    ] = None,
    accelerator: Annotated[str, typer.Option(help="auto, cpu, cuda.")] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="Processes: one per GPU, or that many on the CPU.")] = 1,
    precision: Annotated[str, typer.Option(help="auto, 32-true, bf16-mixed, 16-mixed.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads per process; torch's choice if not given.")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that load data, per training process.")] = 0,
) -> None:
    """Trains a network by RECIPE into RUN, or resumes what RUN holds."""
    try:
        chosen = load_recipe(recipe)
        folder = data_folder(data)
        start = Start(encoder_weights, init, tuple(teacher or ()))
        sides = Sides(split, Fold.parse(fold) if fold else None, refit, every_case)
        machine = Machine(accelerator, devices, precision, threads, workers)
        if not (run / RECIPE_FILE).is_file():  # not begun, though a call that was refused may have made it
            _rehearse(chosen)
        listing = find_slices(folder, chosen)
        for line in listing.left_out():
            console.print(f"train: {escape(line)}", highlight=False, soft_wrap=True)
        with counting("reading slices", len(listing.pairs), console) as advance:
            last = train(chosen, folder, run, start, machine, advance, sides)
    except (
        DataError, SettingsError, StartWeightsError, RunError, InUseError, LeakError, TrainingDivergedError, OSError,
    ) as error:  # fmt: skip
        console.print(f"[bold red]train:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error
    except StoppedError as stopped:
        console.print(f"[bold]train:[/] {escape(str(stopped))}", highlight=False, soft_wrap=True)
        raise typer.Exit(stopped.status) from stopped
    typer.echo(f"trained: {last}")


if __name__ == "__main__":
    app()
