"""scripts/average: one network from several runs that started from the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from training.average import average
from training.run import RunError
from training.settings import SettingsError
from training.split import LeakError
from training.start import StartWeightsError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console(stderr=True)


@app.command()
def main(
    checkpoints: Annotated[list[Path], typer.Argument(help="Checkpoints of scripts/train, in their run folders.")],
    run: Annotated[Path, typer.Option(help="Folder to write, as of a run: checkpoint, split, recipe.")],
) -> None:
    """Averages the weights of CHECKPOINTS, which must be fine-tuned from the same start on the same split."""
    try:
        written = average(checkpoints, run)
    except (RunError, SettingsError, StartWeightsError, LeakError, OSError) as error:
        console.print(f"[bold red]average:[/] {error}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error
    typer.echo(f"averaged {len(checkpoints)} checkpoints: {written}")


if __name__ == "__main__":
    app()
