"""A command's options from one file: TOML, a line an option, as ``port = 8000``. What the environment says
(``BRAINSEG_PORT``) goes before it, and a flag before both."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import typer

PREFIX = "BRAINSEG"  # of the environment's variables


def read_options(path: Path, known: set[str]) -> dict[str, Any]:
    """The options in the file, by name. Raises ``typer.BadParameter`` for a file that is no TOML, and for a name that
    is not of ``known`` or comes twice."""
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{path} cannot be read as TOML: {error}") from None
    options = {name.replace("-", "_"): value for name, value in given.items()}
    if len(options) < len(given):
        doubled = sorted(name for name in given if "-" in name and name.replace("-", "_") in given)
        raise typer.BadParameter(f"{path} has {', '.join(doubled)} twice, with - and with _; expected each once")
    if unknown := sorted(set(options) - known):
        names = ", ".join(sorted(known))
        raise typer.BadParameter(f"{path} has {', '.join(unknown)}; expected some of {names}")
    return options


def from_file(context: typer.Context, path: Path | None) -> Path | None:
    """The callback of an eager option that names the file."""
    if path is not None:
        known = {str(one.name) for one in context.command.params} - {"config", "help"}
        context.default_map = read_options(path, known)
    return path
