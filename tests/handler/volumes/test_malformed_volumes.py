"""Whatever comes, reading ends in a volume or in a refusal, within bounds, and nobody's name gets out."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handler.errors import PROBLEMS, RequestError
from handler.volumes.sniff import is_volume
from handler.volumes.study import read_study
from prove.drawn.volumes import SENTINEL, dicom_series, zipped
from prove.drawn.whole import SCAN, whole_volumes
from tests.malformed_volumes import malformed_volumes

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
INPUTS = malformed_volumes()
MOST_MEGABYTES = 250

# In a process of its own, since the peak of memory never comes down again.
MEASURE = """
import json, resource, sys
from handler.errors import PROBLEMS, RequestError
from handler.volumes.study import read_study
from tests.malformed_volumes import lying, traps

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

inputs = [*lying(), *traps()]
before, worst = peak(), {}
for name, data in inputs:
    try:
        read_study({"file": data})
    except RequestError:
        pass
    if peak() - before > 20:
        worst[name] = peak() - before
        before = peak()
print(json.dumps(worst))
"""


def test_there_are_enough_and_they_are_always_the_same() -> None:
    assert len(INPUTS) >= 300
    assert len({name for name, _ in INPUTS}) == len(INPUTS)
    assert max(len(data) for _, data in INPUTS) < 2_000_000
    assert malformed_volumes() == INPUTS


@pytest.mark.parametrize("name", list(whole_volumes()))
def test_the_files_that_get_damaged_are_whole(name: str) -> None:
    volume = read_study({"file": whole_volumes()[name]}).flair
    assert volume.grid.size[:2] == SCAN.voxels.shape[:0:-1]
    assert is_volume(whole_volumes()[name])


def ask(data: bytes) -> tuple[str, str]:
    """``read`` or the code of the refusal, and all that is said."""
    try:
        study = read_study({"file": data})
    except RequestError as refusal:
        return refusal.code, f"{json.dumps(refusal.body())} {refusal} {refusal.__cause__ or ''}"
    assert np.isfinite(study.flair.voxels).all()
    return "read", f"{study.warnings} {study.found}"


def test_each_is_read_or_refused_and_nobody_is_named(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    counted: Counter[str] = Counter()
    caplog.set_level(logging.DEBUG)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        for name, data in INPUTS:
            code, said = ask(data)
            assert SENTINEL not in said, name
            assert code == "read" or PROBLEMS[code].status < 500, name
            counted[code] += 1
    out, err = capfd.readouterr()
    assert SENTINEL not in caplog.text + out + err + " ".join(str(one.message) for one in heard)
    assert counted["read"] < 0.35 * len(INPUTS), counted
    assert {"corrupt_image", "too_large", "unsupported_shape", "unsupported_format"} <= set(counted)


def test_a_cut_file_is_never_taken_for_whole() -> None:
    for name, data in INPUTS:
        if "/cut at" in name:
            with pytest.raises(RequestError):
                read_study({"file": data})


def test_memory_is_bounded() -> None:
    done = subprocess.run([sys.executable, "-c", MEASURE], cwd=ROOT, capture_output=True, text=True, check=True)
    grown = json.loads(done.stdout)
    assert sum(grown.values()) < MOST_MEGABYTES, grown


COMPRESSED = [name for name in whole_volumes() if "jpeg" in name]


@pytest.mark.parametrize("name", [name for name in whole_volumes() if name not in COMPRESSED])
@given(data=st.data())
def test_any_damage(name: str, data: st.DataObject) -> None:
    check_damaged(name, data)


@settings(max_examples=20)
@given(name=st.sampled_from(COMPRESSED), data=st.data())
def test_any_damage_to_compressed_pixels(name: str, data: st.DataObject) -> None:
    check_damaged(name, data)


def check_damaged(name: str, data: st.DataObject) -> None:
    damaged = bytearray(whole_volumes()[name])
    places = st.tuples(st.integers(0, len(damaged) - 1), st.integers(0, 255))
    for place, value in data.draw(st.lists(places, min_size=1, max_size=8)):
        damaged[place] = value
    assert SENTINEL not in ask(bytes(damaged))[1]


@given(head=st.sampled_from(["nifti1", "slice", "nifti gzip", "zip"]), keep=st.integers(1, 400), tail=st.binary())
def test_any_bytes_behind_any_magic(head: str, keep: int, tail: bytes) -> None:
    for data in (whole_volumes()[head][:keep] + tail, zipped([("x", whole_volumes()[head][:keep] + tail)])):
        with pytest.raises(RequestError):
            read_study({"file": data})


def test_a_name_in_every_text_of_every_file_gets_nowhere() -> None:
    files = dicom_series(SCAN) + dicom_series(SCAN, "t1", number=2)
    study = read_study({"file": zipped(files)})
    assert SENTINEL not in repr(study)
