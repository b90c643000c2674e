"""Limits that hold before memory or time is spent."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.decode import decode
from handler.errors import RequestError
from handler.limits import DEFAULT_LIMITS, Limits
from prove.drawn.pictures import TiffPage, png, ramp, tiff_of
from tests.handler.traps import traps

ROOT = Path(__file__).parents[2]
MOST_MEGABYTES = 60
MOST_SECONDS = 4

# Run in a process of its own, since the peak of memory never comes down again.
MEASURE = """
import json, resource, sys, time
from pathlib import Path
from handler.decode import decode
from handler.errors import RequestError

def ask(path):
    data = path.read_bytes()
    begin = time.process_time()
    try:
        decode(data)
        code = "ok"
    except RequestError as refusal:
        code = refusal.code
    return code, time.process_time() - begin

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

folder, *names = map(Path, sys.argv[1:])
ask(folder / "warm")
for name in names:
    before = peak()
    code, seconds = ask(folder / name)
    print(json.dumps([str(name), code, seconds, peak() - before]))
"""


@pytest.mark.slow
def test_traps_are_refused_at_no_cost(tmp_path: Path) -> None:
    files = traps()
    (tmp_path / "warm").write_bytes(tiff_of(TiffPage(512, 512, bytes(512 * 512))))
    for name, (data, _) in files.items():
        (tmp_path / name).write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path), *files], cwd=ROOT, capture_output=True, text=True, check=True
    )
    measured = [json.loads(line) for line in done.stdout.splitlines()]
    assert [name for name, *_ in measured] == list(files)
    wrong = [
        (name, code, round(seconds, 1), round(megabytes))
        for name, code, seconds, megabytes in measured
        if code != files[name][1] or seconds > MOST_SECONDS or megabytes > MOST_MEGABYTES
    ]
    assert wrong == []


class TestGeometry:
    @given(width=st.integers(16, 4096), height=st.integers(16, 4096))
    def test_one_page_within_the_sides_always_fits(self, width: int, height: int) -> None:
        assert DEFAULT_LIMITS.check_geometry(width, height) is None

    @pytest.mark.parametrize(
        ("width", "height", "pages", "code"),
        [
            (15, 16, 1, "unsupported_shape"),
            (16, 15, 1, "unsupported_shape"),
            (0, 4097, 1, "unsupported_shape"),
            (4097, 16, 1, "too_large"),
            (16, 4097, 1, "too_large"),
            (16, 16, 201, "too_large"),
            (4096, 4096, 6, "too_large"),
            (1000, 1000, 101, "too_large"),
        ],
    )
    def test_refused(self, width: int, height: int, pages: int, code: str) -> None:
        with pytest.raises(RequestError) as refusal:
            DEFAULT_LIMITS.check_geometry(width, height, pages)
        assert refusal.value.code == code

    def test_a_hundred_megapixels_exactly(self) -> None:
        assert DEFAULT_LIMITS.check_geometry(1000, 1000, 100) is None


class TestBytes:
    def test_a_file_of_the_limit_is_read_and_one_byte_more_is_not(self) -> None:
        data = png(ramp())
        assert decode(data, Limits(request_bytes=len(data))).slices == 1
        with pytest.raises(RequestError, match="at most") as refusal:
            decode(data, Limits(request_bytes=len(data) - 1))
        assert refusal.value.code == "too_large"

    def test_the_contract_says_64_megabytes_in_and_32_out(self) -> None:
        assert (DEFAULT_LIMITS.request_bytes, DEFAULT_LIMITS.answer_bytes) == (64 * 2**20, 32 * 2**20)
        assert (DEFAULT_LIMITS.pages, DEFAULT_LIMITS.max_side, DEFAULT_LIMITS.pixels) == (200, 4096, 100_000_000)

    def test_no_bytes_at_all(self) -> None:
        with pytest.raises(RequestError) as refusal:
            decode(b"")
        assert refusal.value.code == "no_image"
