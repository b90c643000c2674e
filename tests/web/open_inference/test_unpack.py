"""Packed bodies, within their limit."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.contract.fields import RefusedError
from web.open_inference.unpack import unpacked

PACK = {"gzip": gzip.compress, "deflate": zlib.compress}


def nothing(_: int) -> None:
    return


@given(data=st.binary(max_size=200_000) | st.integers(0, 3 * 2**20).map(bytes), name=st.sampled_from(sorted(PACK)))
def test_what_was_packed_comes_out_and_is_counted(data: bytes, name: str) -> None:
    counted: list[int] = []
    assert unpacked(PACK[name](data), name.upper(), len(data), counted.append) == data
    assert sum(counted) == len(data)
    assert max(counted, default=0) <= 2**20
    assert unpacked(data, "identity", 0, counted.append) is data


@given(data=st.binary(max_size=500), name=st.sampled_from(sorted(PACK)))
def test_any_other_bytes_are_the_clients_fault(data: bytes, name: str) -> None:
    with pytest.raises(RefusedError) as caught:
        unpacked(data, name, 10**6, nothing)
    assert caught.value.code == "bad_request"


@pytest.mark.parametrize("name", PACK)
def test_too_much_ends_before_it_is_held(name: str) -> None:
    counted: list[int] = []
    with pytest.raises(RefusedError) as caught:
        unpacked(PACK[name](bytes(20 * 2**20)), name, 2 * 2**20, counted.append)
    assert caught.value.code == "too_large"
    assert sum(counted) <= 2 * 2**20


@pytest.mark.parametrize("name", PACK)
def test_a_stream_that_is_cut_or_followed(name: str) -> None:
    packed = PACK[name](b"scan" * 50_000 + bytes(range(256)))
    for body in (packed[:-1], packed[: len(packed) // 2], packed + b"x", packed + packed):
        with pytest.raises(RefusedError, match="cut off, or something follows"):
            unpacked(body, name, 10**6, nothing)


def test_encodings_we_do_not_know() -> None:
    for name in ("br", "gzip, gzip", "zstd"):
        with pytest.raises(RefusedError) as caught:
            unpacked(b"x", name, 10, nothing)
        assert caught.value.code == "unsupported_format"
