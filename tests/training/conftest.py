"""A data set of phantoms in the published layout, and the smoke run that several tests look at."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile

from samples.phantom import draw

ROOT = Path(__file__).parents[2]
SIZE = 64
CASES = tuple(
    f"TCGA_{institution}_{number:04d}_20000101"
    for institution, count in (("CS", 3), ("DU", 4), ("HT", 3))
    for number in range(count)
)


def write_pair(folder: Path, case: str, number: int, image: np.ndarray, mask: np.ndarray) -> None:
    stem = folder / case / f"{case}_{number}"
    stem.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(stem.with_suffix(".tif"), image, photometric="rgb")
    tifffile.imwrite(stem.with_name(f"{stem.name}_mask.tif"), mask.astype(np.uint8) * 255)


def write_phantoms(folder: Path, cases: Sequence[str] = CASES, slices: int = 4) -> None:
    """Half the slices of each case have a lesion."""
    for index, case in enumerate(cases):
        for number in range(1, slices + 1):
            phantom = draw(100 * index + number, 0.1 if number % 2 else 0.0, SIZE)
            write_pair(folder / "kaggle_3m", case, number, phantom.image, phantom.mask)


def command(tool: str, *arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", f"scripts.tools.{tool}", *map(str, arguments)]


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    error: str


def call(tool: str, *arguments: str | Path) -> Outcome:
    """Runs a tool as a user would, without BRAINSEG_DATA."""
    environment = {name: value for name, value in os.environ.items() if name != "BRAINSEG_DATA"}
    done = subprocess.run(
        command(tool, *arguments), cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantoms")
    write_phantoms(folder)
    return folder


@pytest.fixture(scope="session")
def smoke_run(phantoms: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished smoke run."""
    folder = tmp_path_factory.mktemp("smoke") / "run"
    # One thread: such small networks gain nothing by two, and lose much where a test beside them wants the other core.
    done = call(
        "train", "--run", folder, "--recipe", "smoke", "--data", phantoms, "--accelerator", "cpu", "--threads", "1"
    )
    assert done.code == 0, done.error
    return folder
