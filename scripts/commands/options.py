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
        options = {str(one.name): one for one in context.command.params if one.name not in ("config", "help")}
        given = read_options(path, set(options))
        for name, value in given.items():
            _check_kind(path, name, value, options[name])
        context.default_map = given
    return path


def _check_kind(path: Path, name: str, value: Any, option: Any) -> None:
    """TOML has kinds, and what is of another is a mistake: to Python, true is 1 and 8000.9 becomes 8000."""
    flag, usual = bool(option.is_flag), option.default
    if isinstance(value, bool) == flag and not (isinstance(value, float) and not isinstance(usual, float)):
        return
    expected = (
        "true or false"
        if flag
        else "a whole number"
        if isinstance(usual, int)
        else f"what --{name.replace('_', '-')} takes"
    )
    raise typer.BadParameter(f"{path}: {name} = {str(value).lower()}; expected {expected}")
