"""``scripts/keys``: makes, rotates, lists and removes signing keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from signing.keys import PRIVATE, TRUSTED, KeyFileError, key_id, load_private, load_trusted, make_keys, remove_key
from signing.keys import rotate_keys as rotate_in

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)
Folder = Annotated[Path, typer.Argument(help="Holds the private key, and the public ones in trusted/.")]


@contextmanager
def _told() -> Iterator[None]:
    """An error becomes a line and status 1."""
    try:
        yield
    except (KeyFileError, OSError) as error:
        typer.echo(f"keys: {error}", err=True)
        raise typer.Exit(1) from error


@app.callback()
def main() -> None:
    """Ed25519 keys for archives (scripts/package --sign FOLDER/signing.key) and for the passports of answers."""


@app.command("make")
def make(folder: Folder) -> None:
    """Make a pair: FOLDER/signing.key (mode 0600) and FOLDER/trusted/ID.pub."""
    with _told():
        typer.echo(
            f"{folder / PRIVATE}: key {make_keys(folder)}; give away what is in {folder / TRUSTED}, never the key"
        )


@app.command("rotate")
def rotate(folder: Folder) -> None:
    """Replace the key that signs. What was signed before stays good until its public key is removed."""
    with _told():
        typer.echo(f"{folder / PRIVATE}: key {rotate_in(folder)} signs from now on")


@app.command("list")
def list_keys(folder: Folder) -> None:
    """The keys that are trusted, and which one signs."""
    with _told():
        private = folder / PRIVATE
        current = key_id(load_private(private).public_key()) if private.exists() else ""
        for identity in load_trusted(folder):
            typer.echo(f"{identity}{' signs' if identity == current else ''}")


@app.command("remove")
def remove(folder: Folder, key: Annotated[str, typer.Argument(help="Its id, as list shows it.")]) -> None:
    """Trust KEY no longer: what it signed is refused from now on."""
    with _told():
        remove_key(folder, key)
        typer.echo(f"key {key} is not trusted any more")


if __name__ == "__main__":
    app()
