"""Zips are looked at before they are unpacked, and gzips to their end."""

from __future__ import annotations

import gzip
import io
import stat
import struct
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.errors import RequestError
from handler.limits import Limits
from handler.volumes.gzips import gunzip
from handler.volumes.study import read_study
from handler.volumes.zips import unzip
from prove.drawn.pictures import png, ramp
from prove.drawn.volumes import SENTINEL, dicom_series, nifti, phantom, zipped

LIMITS = Limits(archive_files=10, unpacked_bytes=50_000_000)


def code_of(data: bytes, limits: Limits = LIMITS) -> str:
    with pytest.raises(RequestError) as refusal:
        list(unzip(data, limits))
    assert SENTINEL not in refusal.value.detail
    return refusal.value.code


def test_files_come_numbered_by_their_place() -> None:
    data = zipped(
        [("__MACOSX/._a", b"x"), ("a/", b""), ("a/1", b"one"), (".DS_Store", b""), ("DICOMDIR", b""), ("b", b"two")]
    )
    assert [(f.number, f.data) for f in unzip(data, LIMITS)] == [(2, b"one"), (5, b"two")]


@pytest.mark.parametrize("name", [f"../{SENTINEL}", "/etc/x", "a/../../b", "..\\x", "C:/x", "\\\\host\\x"])
def test_names_that_lead_out(name: str) -> None:
    assert code_of(zipped([(name, b"x")])) == "corrupt_image"


def test_links() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "target")
    assert code_of(buffer.getvalue()) == "corrupt_image"


def test_an_encrypted_file() -> None:
    data = bytearray(zipped([("a", b"x" * 100)]))
    data[6] |= 1
    data[data.index(b"PK\1\2") + 8] |= 1
    assert code_of(bytes(data)) == "unsupported_format"


def test_other_packings_and_zips_in_zips() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a", b"x")
    assert code_of(buffer.getvalue()) == "unsupported_format"
    assert code_of(zipped([("a.bin", zipped([("b", b"x")]))])) == "unsupported_format"


def test_too_many_too_much_too_dense() -> None:
    assert code_of(zipped([(str(n), b"") for n in range(11)])) == "too_large"
    assert code_of(zipped([(str(n), b"") for n in range(1200)])) == "too_large"
    assert code_of(zipped([("a", bytes(50_000_001))])) == "too_large"
    assert code_of(zipped([("a", bytes(20_000_000))])) == "too_large"


def test_a_size_that_lies() -> None:
    """A directory that claims 10 bytes of a million: no more than it claims is unpacked, and then refused."""
    data = bytearray(zipped([("a", bytes(1_000_000))]))
    struct.pack_into("<I", data, data.index(b"PK\1\2") + 24, 10)
    assert code_of(bytes(data)) == "corrupt_image"


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_cut(share: float) -> None:
    data = zipped([(str(n), bytes(range(256))) for n in range(9)])
    assert code_of(data[: int(share * len(data))]) == "corrupt_image"


def test_a_damaged_file() -> None:
    data = bytearray(zipped([("a", bytes(range(256)))], stored=True))
    data[100] ^= 1
    assert code_of(bytes(data)) == "corrupt_image"


@given(st.binary(max_size=300), st.integers(0, 3))
def test_any_bytes_behind_a_zips_magic(tail: bytes, flips: int) -> None:
    for data in (b"PK\3\4" + tail, b"PK\5\6" + tail, zipped([("a", tail)])[: len(tail) + flips]):
        try:
            assert all(isinstance(file.data, bytes) for file in unzip(data, LIMITS))
        except RequestError as refusal:
            assert refusal.problem.status < 500  # noqa: PT017


# --- what is in them -------------------------------------------------------------------------------------------------


def test_pictures_in_a_zip_get_a_fitting_refusal() -> None:
    with pytest.raises(RequestError, match="Pictures") as refusal:
        read_study({"file": zipped([("a.png", png(ramp())), ("b.txt", b"text")])})
    assert refusal.value.code == "unsupported_format"


def test_what_lies_beside_scans_is_left_out_and_told() -> None:
    study = read_study({"file": zipped([*dicom_series(phantom()), ("README", b"text"), ("viewer.exe", b"MZ")])})
    assert "2 files of the zip" in next(w.detail for w in study.warnings if w.code == "files_skipped")


@pytest.mark.parametrize("data", [b"", b"rubbish" * 100])
def test_a_file_named_like_a_scan_that_is_none_is_not_left_out(data: bytes) -> None:
    with pytest.raises(RequestError, match="named like a scan") as refusal:
        read_study({"file": zipped([*dicom_series(phantom()), ("a/last.dcm", data)])})
    assert refusal.value.code == "corrupt_image"


# --- gzip ------------------------------------------------------------------------------------------------------------


def refused_gzip(data: bytes, at_most: int = 10_000) -> str:
    with pytest.raises(RequestError) as refusal:
        gunzip(data, at_most)
    return refusal.value.code


def test_a_gzip_is_read_to_its_end() -> None:
    content = bytes(range(256)) * 8
    data = gzip.compress(content, mtime=0)
    assert bytes(gunzip(data, 10_000)) == content
    assert gunzip(data + bytes(512), 10_000) == content
    assert gunzip(data[:0] + gzip.compress(content[:99]) + gzip.compress(content[99:]), 10_000) == content
    for cut in (1, 4, 7, 8, 9, len(data) // 2):
        assert refused_gzip(data[:-cut]) == "corrupt_image"
    for place in (-1, -5):  # length, check sum
        wrong = bytearray(data)
        wrong[place] ^= 1
        assert refused_gzip(bytes(wrong)) == "corrupt_image"
    assert refused_gzip(data + b"rubbish") == "corrupt_image"
    assert refused_gzip(gzip.compress(bytes(100_000_000)), 1_000_000) == "too_large"


def test_a_gzip_within_a_zip_counts_too() -> None:
    limits = Limits(unpacked_bytes=20_000)
    with pytest.raises(RequestError) as refusal:
        read_study({"file": zipped([("flair.nii.gz", nifti(phantom((40, 40, 30)), packed=True))])}, limits=limits)
    assert refusal.value.code == "too_large"
