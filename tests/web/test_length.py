"""Short work and long, told apart without looking into a picture."""

from __future__ import annotations

import io

import numpy as np
import pytest
import requests
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from prove.drawn.volumes import dicom_enhanced, dicom_series, nifti, phantom
from web.way.length import SHORT_PAGES, is_long
from web.way.submission import read_submission


def tiff(pages: int, **options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, np.zeros((pages, 8, 8), np.uint8), photometric="minisblack", **options)  # type: ignore[arg-type]
    return file.getvalue()


@pytest.mark.parametrize("options", [{}, {"bigtiff": True}, {"byteorder": ">"}, {"bigtiff": True, "byteorder": ">"}])
def test_pages_of_a_tiff_are_counted(options: dict[str, object]) -> None:
    assert not is_long(tiff(1, **options))
    assert not is_long(memoryview(tiff(SHORT_PAGES, **options)))
    assert is_long(tiff(SHORT_PAGES + 1, **options))


def test_pictures_are_short_and_volumes_long(lesion: bytes) -> None:
    assert not is_long(lesion)
    assert not is_long(b"\xff\xd8\xff\xe0")
    assert is_long(b"PK\x03\x04rest")
    assert is_long(bytes(348))


@pytest.mark.parametrize("slices", [1, SHORT_PAGES, SHORT_PAGES + 1])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("version", [1, 2])
def test_slices_of_a_nifti_are_counted(slices: int, packed: bool, version: int) -> None:
    scan = nifti(phantom((20, 22, slices)), packed=packed, version=version)
    assert is_long(memoryview(scan)) == (slices > SHORT_PAGES)


@pytest.mark.parametrize("frames", [3, 12])
def test_frames_of_a_dicom_file_are_counted(frames: int) -> None:
    scan = phantom((20, 22, frames))
    assert is_long(memoryview(dicom_enhanced(scan))) == (frames > SHORT_PAGES)
    assert not is_long(dicom_series(scan)[0][1])


def test_the_parts_of_a_form_are_looked_at_one_by_one() -> None:
    def sent(**parts: bytes) -> bool:
        form = requests.Request("POST", "http://x", files=parts).prepare()
        assert isinstance(form.body, bytes)
        return read_submission(form.body, {"Content-Type": str(form.headers["Content-Type"])}, "").long

    one, many = (nifti(phantom((20, 22, slices))) for slices in (1, 30))
    assert not sent(file=one)
    assert not sent(flair=one, t1=one, t1c=one)
    assert sent(flair=one, t1=many)
    assert sent(file=many)


def test_a_chain_that_leads_to_itself_comes_to_an_end() -> None:
    directory = (0).to_bytes(2, "little") + (8).to_bytes(4, "little")
    assert is_long(b"II*\0" + (8).to_bytes(4, "little") + directory)


@given(st.sampled_from([b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b""]), st.binary(max_size=60))
def test_nonsense_is_only_guessed_at(head: bytes, rest: bytes) -> None:
    assert is_long(head + rest) in (True, False)
