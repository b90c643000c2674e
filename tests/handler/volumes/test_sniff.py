"""What is a volume, by its first bytes: pictures never are."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.volumes.sniff import is_volume, kind_of
from prove.drawn.volumes import nifti, phantom
from prove.drawn.whole import whole_pictures, whole_volumes


@pytest.mark.parametrize("name", list(whole_pictures()))
def test_a_picture_is_none(name: str) -> None:
    assert not is_volume(whole_pictures()[name])


@pytest.mark.parametrize("name", list(whole_volumes()))
def test_a_volume_is_one(name: str) -> None:
    data = whole_volumes()[name]
    start = name.split(" ")[0]
    kinds = {"nifti": "nifti", "nifti1": "nifti", "nifti2": "nifti", "zip": "zip"}
    assert kind_of(data) == ("nifti.gz" if name == "nifti gzip" else kinds.get(start, "dicom"))


def test_what_only_looks_alike() -> None:
    assert kind_of(gzip.compress(b"text" * 200)) is None
    assert kind_of(b"") is None
    analyze = nifti(phantom(), fields={"magic": b""})
    assert kind_of(analyze) == "nifti"  # to be refused as ANALYZE rather than as unknown
    assert kind_of(nifti(phantom())[:200]) is None


@given(st.binary(max_size=600))
def test_any_bytes(data: bytes) -> None:
    assert kind_of(data) in (None, "nifti", "nifti.gz", "dicom", "zip")
