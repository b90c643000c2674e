"""Installs what tests/bulk/test_s3.py drives into a folder of its own, and runs it with that folder in front."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from archive.programs import environment
from tests.kept import kept

ROOT = Path(__file__).parents[2]
PACKAGES = Path(__file__).parent / "s3-packages.txt"


@pytest.fixture(scope="module")
def packages() -> Path:
    """The folder, made once and kept; the test is skipped where pip cannot."""
    pins = [line for line in PACKAGES.read_text("utf-8").splitlines() if not line.startswith("#")]
    place = kept("-".join(pins).translate(str.maketrans("[],<=", "-----")))
    if not (place / "installed").exists():
        pip = [sys.executable, "-I", "-m", "pip", "install", "-q", "--upgrade", "--target", str(place)]
        done = subprocess.run([*pip, "-r", str(PACKAGES)], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"pip could not install {PACKAGES.name}: {done.stderr.strip()[-300:]}")
        (place / "installed").touch()
    return place


@pytest.mark.long  # 300 MB to install
def test_scans_and_results_lie_in_a_store_that_speaks_s3(packages: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-n", "0", "-m", "long", "--basetemp", str(tmp_path / "s3")]
    path = os.pathsep.join(map(str, (ROOT, ROOT / "client", packages)))
    done = subprocess.run(
        [*command, "tests/bulk/test_s3.py"], cwd=ROOT, env={**environment(), "PYTHONPATH": path},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:]
    assert "skipped" not in done.stdout.splitlines()[-1]
