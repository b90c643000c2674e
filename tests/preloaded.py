"""Commands run as ``python -m`` runs them, in a process of their own, but forked from one that has imported torch and
Lightning already: what a test waits for is the command and not six seconds of imports.

A real start is seen by the README's blocks (tests/test_docs.py) and by what trains in two processes."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import runpy
import sys
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path

from archive.store import ROOT
from tests.waiting import BOUND_SECONDS

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["tests.preloaded", *(f"scripts.commands.{name}" for name in ("train", "evaluate", "release", "inspect_data"))]
)


def start(module: str, arguments: list[str], environment: Mapping[str, str], out: Path, error: Path) -> BaseProcess:
    """Begins ``python -m module arguments…`` from the root of the repository, its output in the files given."""
    process = _CONTEXT.Process(target=_run, args=(module, arguments, dict(environment), str(out), str(error)))
    process.start()
    return process


def run(module: str, arguments: list[str], environment: Mapping[str, str], folder: Path) -> tuple[int, str, str]:
    """Exit status, standard output and standard error, which pass through files in ``folder``."""
    out, error = folder / "out", folder / "error"
    process = start(module, arguments, environment, out, error)
    process.join(BOUND_SECONDS)
    if process.exitcode is None:
        process.kill()
        raise TimeoutError(f"{module} {arguments} did not end within {BOUND_SECONDS} s: {error.read_text()}")
    return process.exitcode, out.read_text(), error.read_text()


def _run(module: str, arguments: list[str], environment: dict[str, str], out: str, error: str) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    for number, path in ((1, out), (2, error)):
        with contextlib.closing(open(path, "wb")) as file:  # noqa: PTH123
            os.dup2(file.fileno(), number)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
