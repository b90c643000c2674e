"""Environments of other people's clients: they want other versions of protobuf, greenlet and psutil than ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.kept import kept


def environment_with(*packages: str) -> Path:
    """The Python of an environment that has ``packages``, made once and kept; the test is skipped where pip cannot."""
    place = kept("-".join(packages).translate(str.maketrans("[],<=", "-----")))
    if not (place / "installed").exists():
        subprocess.run([sys.executable, "-I", "-m", "venv", "--clear", str(place)], check=True)
        pip = [str(place / "bin" / "python"), "-I", "-m", "pip", "install", "-q", *packages]
        done = subprocess.run(pip, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"pip could not install {', '.join(packages)}: {done.stderr.strip()[-300:]}")
        (place / "installed").touch()
    return place / "bin" / "python"


def run(python: Path, *words: object) -> None:
    done = subprocess.run(
        [str(python), "-I", *map(str, words)], capture_output=True, text=True, check=False, timeout=500
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
