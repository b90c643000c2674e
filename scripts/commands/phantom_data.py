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
    size: Annotated[
        int | None, typer.Option(min=32, max=1024, help="Side of a slice in pixels: 64, of volumes 48, if not given.")
    ] = None,
    slices: Annotated[
        int | None,
        typer.Option(min=1, max=99, help="Slices per case, of which every other one has a lesion: 4; of volumes 12."),
    ] = None,
    volumes: Annotated[
        bool, typer.Option("--volumes", help="Six volumes with three labels in the layout of BraTS instead.")
    ] = False,
) -> None:
    """Writes ten cases of phantoms into FOLDER in the published layout."""
    try:
        if volumes:
            count = write_phantom_volumes(folder, size or 48, slices or 12)
            typer.echo(f"wrote {count} slices of volumes below {folder}")
            return
        pairs = write_phantoms(folder, size or 64, slices or 4)
    except OSError as error:
        typer.echo(f"phantom-data: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"wrote {pairs} pairs below {folder / 'kaggle_3m'}")


if __name__ == "__main__":
    app()
