"""Python programs as we start them: nothing out of the folder where one stands, the user's own packages or the
environment is imported in place of what was meant."""

from __future__ import annotations

import os
import sys

from archive.store import ROOT

# Of Python's variables those that change what is printed or written, never what is imported.
KEPT = ("PYTHONDONTWRITEBYTECODE", "PYTHONFAULTHANDLER", "PYTHONHASHSEED", "PYTHONUNBUFFERED", "PYTHONUTF8")
# For the interpreters that what we start starts in its turn, as TorchServe does its workers.
SAFE = {"PYTHONSAFEPATH": "1", "PYTHONNOUSERSITE": "1"}


def python(*arguments: str) -> list[str]:
    """The command of this interpreter with ``arguments``, such as ``-m``, ``archive``."""
    return [sys.executable, "-P", "-s", *arguments]


def environment(ours: bool = True) -> dict[str, str]:
    """This process's environment for :func:`python`; ``ours``: whether our rooms can be imported there."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON") or name in KEPT}
    path = {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'client'}"} if ours else {}
    return {**kept, **SAFE, **path}
