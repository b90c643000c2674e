"""scripts/phantom-data: a small data set of drawn heads, to try the training commands without the licensed data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training.data.phantom_volumes import write_phantom_volumes
from training.data.phantoms import write_phantoms

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    folder: Annotated[Path, typer.Argument(help="Where to write kaggle_3m/<case>/…; made when missing.")],
    size: Annotated[int, typer.Option(min=32, max=1024, help="Side of a slice in pixels.")] = 64,
    slices: Annotated[int, typer.Option(min=1, max=99, help="Slices per case; every other one has a lesion.")] = 4,
    volumes: Annotated[
        bool, typer.Option("--volumes", help="Six volumes with three labels in the layout of BraTS instead.")
    ] = False,
) -> None:
    """Writes ten cases of phantoms into FOLDER in the published layout."""
    try:
        if volumes:
            typer.echo(f"wrote {write_phantom_volumes(folder)} slices of volumes below {folder}")
            return
        pairs = write_phantoms(folder, size, slices)
    except OSError as error:
        typer.echo(f"phantom-data: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"wrote {pairs} pairs below {folder / 'kaggle_3m'}")


if __name__ == "__main__":
    app()
