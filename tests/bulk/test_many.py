"""Twenty thousand scans: the driver's memory is that of a thousand, and finished work is not touched."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from archive.programs import environment
from archive.store import ROOT

FEW, MANY = 1_000, 20_000


def drawn(folder: Path, count: int) -> Path:
    """Files that are named like pictures; their content is their number."""
    for number in range(count):
        place = folder / f"{number // 1000:03d}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}.png").write_bytes(str(number).encode())
    return folder


def driven(source: Path, out: Path) -> tuple[int, int, float, int]:
    """Done, done before, seconds, kB at most, of a driver in a process of its own."""
    command = [sys.executable, "-P", "-s", "-m", "tests.bulk.many", str(source), str(out)]
    told = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr[-2000:]
    done, before, seconds, peak = told.stdout.split()
    print(told.stdout)
    return int(done), int(before), float(seconds), int(peak)


@pytest.mark.long  # writes 20,000 files
def test_the_drivers_memory_is_flat_and_nothing_is_done_twice(tmp_path: Path) -> None:
    peaks = {}
    for count in (FEW, MANY):
        source, out = drawn(tmp_path / f"in-{count}", count), tmp_path / f"out-{count}"
        done, _, _, peaks[count] = driven(source, out)
        assert done == count
    done, before, _, again = driven(source, out)
    assert (done, before) == (0, MANY)
    assert peaks[MANY] < 1.1 * peaks[FEW]
    assert again < 1.1 * peaks[FEW]
