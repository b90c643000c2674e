"""``scripts/token``: prints a token of a running server, for use in a command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from archive.store import KEY_FILE, STATE
from exchange.tokens import read_token


def main(
    kind: Annotated[str, typer.Argument(help="inference, management or API")] = "inference",
    state: Annotated[Path, typer.Option(help="The server's state folder.")] = STATE,
) -> None:
    """Print a token of the server whose state folder is given."""
    try:
        print(read_token(state / KEY_FILE, kind))
    except (OSError, ValueError) as error:
        typer.echo(f"no token: {error}. Is the server of this state folder running?", err=True)
        raise typer.Exit(1) from error


if __name__ == "__main__":
    typer.run(main)
