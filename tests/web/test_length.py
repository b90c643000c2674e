"""Short work and long, told apart without looking into a picture."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from web.way.length import SHORT_PAGES, is_long


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


def test_a_chain_that_leads_to_itself_comes_to_an_end() -> None:
    directory = (0).to_bytes(2, "little") + (8).to_bytes(4, "little")
    assert is_long(b"II*\0" + (8).to_bytes(4, "little") + directory)


@given(st.sampled_from([b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b""]), st.binary(max_size=60))
def test_nonsense_is_only_guessed_at(head: bytes, rest: bytes) -> None:
    assert is_long(head + rest) in (True, False)
