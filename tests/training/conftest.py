"""A data set of phantoms in the published layout, and the smoke run that several tests look at."""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.preloaded import run, start
from tests.sharing import shared_folder
from tests.waiting import until
from training.data.phantoms import write_phantoms
from training.fit.recipe import RECIPES
from training.release.publish import Order, publish

ROOT = Path(__file__).parents[2]
SIZE = 64
NO_PROGRESS = lambda title, total: lambda: None  # noqa: E731


def command(tool: str, *arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", f"scripts.commands.{tool}", *map(str, arguments)]


def first_checkpoint(run: Path) -> None:
    """Returns as soon as the run in another process has written a checkpoint."""
    until(lambda: (run / "last.ckpt").exists(), "no checkpoint", 0.02)


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    error: str


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "BRAINSEG_DATA"}


def call(tool: str, *arguments: str | Path) -> Outcome:
    """Runs a tool as a user would, without BRAINSEG_DATA."""
    with tempfile.TemporaryDirectory() as folder:
        return Outcome(*run(f"scripts.commands.{tool}", [*map(str, arguments)], _environment(), Path(folder)))


def begin(folder: Path, tool: str, *arguments: str | Path) -> BaseProcess:
    """As :func:`call`, but does not wait for the end; what it prints goes into ``folder``."""
    return start(
        f"scripts.commands.{tool}", [*map(str, arguments)], _environment(), folder / "printed", folder / "told"
    )


def changed_recipe(name: str, path: Path, changes: dict[str, Any]) -> Path:
    """The recipe ``name`` with keys (``section``, ``section.key``) set to other values, as a YAML file."""
    content = yaml.safe_load((RECIPES / f"{name}.yaml").read_text("utf-8"))
    for key, value in changes.items():
        *sections, entry = key.split(".")
        place = content
        for section in sections:
            place = place[section]
        place[entry] = value
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set in the published layout, to read."""
    return shared_folder(tmp_path_factory, "phantoms", lambda folder: write_phantoms(folder, SIZE))


@pytest.fixture(scope="session")
def smoke_run(phantoms: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished smoke run, to read."""

    def make(folder: Path) -> None:
        # One thread: such small networks gain nothing by two, and lose much where a test beside them wants the other.
        options = ("--recipe", "smoke", "--data", phantoms, "--accelerator", "cpu", "--threads", "1")
        done = call("train", "--run", folder / "run", *options)
        assert done.code == 0, done.error

    return shared_folder(tmp_path_factory, "smoke", make) / "run"


@pytest.fixture(scope="session")
def release(smoke_run: Path, phantoms: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the smoke run's release, to read."""

    def make(folder: Path) -> None:
        order = Order(smoke_run / "last.ckpt", "0.1", folder / "brainseg-0.1", "drawn by hand")
        publish(order, phantoms, NO_PROGRESS)

    return shared_folder(tmp_path_factory, "release", make) / "brainseg-0.1"
