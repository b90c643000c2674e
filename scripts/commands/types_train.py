"""``scripts/types-train``: trains a classifier of tumour types; run it again with the same folder to go on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import torch
import typer
from rich.console import Console
from rich.markup import escape

from settings.mapping import SettingsError
from training.data.cases import DataError
from training.data.split import Fold
from training.fit.alone import InUseError
from training.fit.diverged import TrainingDivergedError
from training.fit.origin import RunError
from training.fit.start import StartWeightsError
from training.types.recipe import load_types_recipe
from training.types.run import TypesRun, train_types

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console(stderr=True, highlight=False, soft_wrap=True)


@app.command()
def main(
    run: Annotated[Path, typer.Option(help="Folder of the run: checkpoint, log, weights; made when missing.")],
    data: Annotated[Path, typer.Option(help="Folder with <class>.zip and slices.csv.")],
    recipe: Annotated[str, typer.Option(help="A recipe's name or the path of a YAML file.")] = "types",
    fold: Annotated[
        str | None, typer.Option(help="K/N: leave part K of N out and judge it. Else train on all.")
    ] = None,
    by: Annotated[
        Literal["patient", "slice"], typer.Option(help="Parts by patient; by slice leaks, to show what that is worth.")
    ] = "patient",
    encoder_weights: Annotated[str, typer.Option(help="A safetensors file, imagenet, or none.")] = "none",
    cache: Annotated[
        Path | None, typer.Option(help="Folder for what frozen stages make of the slices; else beside the run.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
) -> None:
    """Trains a classifier by RECIPE into RUN, or resumes what RUN holds."""
    torch.set_num_threads(threads)
    try:
        chosen = load_types_recipe(recipe)
        part = Fold.parse(fold) if fold else None
        wanted = TypesRun(chosen, data, part, by, encoder_weights, cache or run.parent)
        train_types(wanted, run, lambda line: console.print(f"types-train: {escape(line)}"))
    except (
        DataError, SettingsError, StartWeightsError, RunError, InUseError, TrainingDivergedError, OSError,
    ) as error:  # fmt: skip
        console.print(f"[bold red]types-train:[/] {escape(str(error))}")
        raise typer.Exit(1) from error
    typer.echo(f"trained: {run}")


if __name__ == "__main__":
    app()
