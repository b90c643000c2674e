"""A volume of 256 x 256 x 160 with three sequences: all of it within a worker's memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from prove.drawn.volumes import Phantom, nifti

ROOT = Path(__file__).parents[3]
SIZE = (256, 256, 160)
MOST_MEGABYTES = 1500
ASK = """
import json, re, sys, time
from pathlib import Path
from handler.pipeline import answer
from tests.handler.models import FLAIR_RULE, model

finder = model(FLAIR_RULE, min_lesion_pixels=0)
parts = {name: bytearray(Path(sys.argv[1], name).read_bytes()) for name in ("flair", "t1", "t1c")}
begin = time.perf_counter()
found = answer(finder, parts, {"content-type": "multipart/form-data", "accept": "application/zip"})
seconds = time.perf_counter() - begin
# Not ru_maxrss, which begins with what the process was forked from.
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024 / 1e6
print(json.dumps({"code": found.code, "seconds": seconds, "megabytes": peak, "stages": dict(found.seconds)}))
"""


@pytest.mark.slow
def test_a_large_volume_stays_within_a_workers_memory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The network here is one weight: what is measured is all around it. The time is printed, not judged."""
    k, j, i = np.meshgrid(*[np.linspace(-1, 1, n, dtype=np.float32) for n in SIZE[::-1]], indexing="ij", sparse=True)
    voxels = np.where(i**2 + j**2 + k**2 < 0.9, 300, 0).astype(np.int16)
    voxels[((i - 0.3) ** 2 + j**2 + (k - 0.2) ** 2) < 0.05] = 1000
    affine = np.diag([0.9, 0.9, 1.0, 1.0])
    for name in ("flair", "t1", "t1c"):
        (tmp_path / name).write_bytes(nifti(Phantom(voxels, affine, ()), packed=True))
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)
    with capsys.disabled():
        print(f"\n256x256x160, three sequences: {measured['seconds']:.1f} s, {measured['megabytes']:.0f} MB at most")
    assert measured["code"] == "ok"
    assert measured["megabytes"] <= MOST_MEGABYTES
