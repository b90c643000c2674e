"""``scripts/types-release``: a trained classifier as a release folder, for scripts/package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from settings.mapping import SettingsError
from training.data.cases import DataError
from training.types.release import TypesOrder, release_types

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console(stderr=True, highlight=False, soft_wrap=True)


@app.command()
def main(
    run: Annotated[Path, typer.Argument(help="The run whose weights are released.")],
    judged: Annotated[list[Path], typer.Option(help="A run with a part held out; may be repeated.")],
    data: Annotated[Path, typer.Option(help="The folder of pictures.")],
    version: Annotated[str, typer.Option(help="Its number.")],
    out: Annotated[Path, typer.Option(help="Folder of the release, such as model_store/brainseg-types-0.1.")],
    attribution: Annotated[str, typer.Option(help="Credit for the start weights, with their licence.")] = "",
) -> None:
    """Releases RUN: weights, model card, licence; temperature and figures are those of the runs that judged."""
    try:
        card = release_types(TypesOrder(run, tuple(judged), data, version, out, attribution))
    except (DataError, SettingsError, ValueError, OSError) as error:
        console.print(f"[bold red]types-release:[/] {escape(str(error))}")
        raise typer.Exit(1) from error
    typer.echo(f"released: {out} ({card.weights.bytes / 1e6:.1f} MB)")


if __name__ == "__main__":
    app()
