"""What is checked before memory and time are spent, and before a decoder sees a byte."""

from __future__ import annotations

import imagecodecs
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

from handler.errors import RequestError
from handler.limits import Limits
from handler.volumes.dicom.codecs import Shape, decompress
from handler.volumes.study import read_study
from prove.drawn.volumes import (
    COMPRESSED,
    JPEG_2000,
    JPEG_BASELINE,
    JPEG_LOSSLESS,
    JPEG_LS,
    RLE,
    dicom_enhanced,
    dicom_series,
    dicom_zip,
    encoded,
    nifti,
    phantom,
)

SCAN = phantom((24, 20, 3))


def code_of(data: bytes, limits: Limits) -> str:
    with pytest.raises(RequestError) as refusal:
        read_study({"file": data}, limits=limits)
    return refusal.value.code


def test_elements_of_all_headers_are_counted() -> None:
    for data in (dicom_zip(SCAN), dicom_enhanced(SCAN)):
        assert code_of(data, Limits(dicom_elements=100)) == "too_large"
        assert read_study({"file": data}, limits=Limits(dicom_elements=1000)).flair.grid.size == (24, 20, 3)


def test_what_is_deflated_is_unpacked_within_the_limit() -> None:
    data = dicom_series(SCAN, transfer_syntax=DeflatedExplicitVRLittleEndian)[0][1]
    assert code_of(data, Limits(unpacked_bytes=1500)) == "too_large"


@pytest.mark.parametrize(
    "data", [nifti(SCAN), nifti(SCAN, packed=True), dicom_zip(SCAN), dicom_enhanced(SCAN, transfer_syntax=JPEG_LS)]
)
def test_voxels_are_counted_from_the_header(data: bytes) -> None:
    assert code_of(data, Limits(voxels=SCAN.voxels.size - 1)) == "too_large"
    assert code_of(data, Limits(max_side=23)) == "too_large"
    assert code_of(data, Limits(request_bytes=len(data) - 1)) == "too_large"


def test_a_value_of_very_many_numbers_is_not_taken_apart() -> None:
    def change(k: int, dataset: Dataset) -> None:
        dataset.ImagePositionPatient = [1.0] * 3000

    with pytest.raises(RequestError, match="ImagePositionPatient") as refusal:
        read_study({"file": dicom_zip(SCAN, change=change)})
    assert refusal.value.code == "corrupt_image"


@pytest.mark.parametrize("syntax", [*COMPRESSED, JPEG_BASELINE])
@pytest.mark.parametrize("claimed", [(20, 23), (19, 24), (4000, 4000)])
def test_no_decoder_sees_a_frame_of_another_size(
    monkeypatch: pytest.MonkeyPatch, syntax: str, claimed: tuple[int, int]
) -> None:
    def never(*arguments: object) -> None:
        raise AssertionError("a decoder was asked")

    for name in ("jpeg8_decode", "jpegls_decode", "jpeg2k_decode"):
        monkeypatch.setattr(imagecodecs, name, never)
    stream = encoded(SCAN.voxels[0], syntax)
    with pytest.raises(RequestError) as refusal:
        decompress(stream, syntax, Shape(*claimed, 16))
    assert refusal.value.code == "corrupt_image"
    assert "AssertionError" not in refusal.value.detail


def test_a_jpeg_ls_stream_without_an_end_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imagecodecs, "jpegls_decode", lambda data: pytest.fail("the decoder was asked"))
    with pytest.raises(RequestError, match="end marker"):
        decompress(encoded(SCAN.voxels[0], JPEG_LS)[:-10], JPEG_LS, Shape(20, 24, 16))


@pytest.mark.parametrize("syntax", [JPEG_LOSSLESS, JPEG_LS, JPEG_2000, RLE])
def test_no_decoder_sees_another_kind(syntax: str) -> None:
    for other in {JPEG_LOSSLESS, JPEG_LS, JPEG_2000, RLE, JPEG_BASELINE} - {syntax}:
        with pytest.raises(RequestError) as refusal:
            decompress(encoded(SCAN.voxels[0], other), syntax, Shape(20, 24, 16))
        assert "decoded" not in refusal.value.detail
