"""What a decoder does wrong is a refused series: it hangs, dies or takes all memory in a process of its own."""

from __future__ import annotations

import numpy as np
import pytest

from handler.errors import RequestError
from handler.volumes.dicom import beside
from handler.volumes.dicom.beside import Decoder
from handler.volumes.dicom.codecs import Shape, check_supported
from handler.volumes.study import read_study
from prove.drawn.volumes import JPEG_LS, dicom_zip, phantom

# Stands in for a codec: 1 is a picture, the others are what a fault in C can come to.
PROGRAM = """
import os, numpy as np
from handler.volumes.dicom import beside, codecs

def codec(data, shape):
    if data == b"hang":
        while True:
            pass
    if data == b"die":
        os._exit(11)
    if data == b"memory":
        return np.ones(2**30, np.int64)
    if data == b"raise":
        raise ValueError("ZZDOE^SENTINEL")
    return np.full((shape.rows, shape.columns), 7, np.uint16)

codecs.CODECS["test"] = codec
beside.serve()
"""


@pytest.fixture
def _odd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "PROGRAM", PROGRAM)
    monkeypatch.setattr(beside, "SECONDS", 2)


@pytest.mark.usefixtures("_odd")
@pytest.mark.parametrize("fault", [b"hang", b"die", b"memory", b"raise"])
def test_a_fault_is_a_refusal(fault: bytes) -> None:
    with Decoder("test", 100) as decoder:
        assert np.array_equal(decoder.decode(b"good", Shape(2, 3, 16)), np.full((2, 3), 7))
        with pytest.raises(RequestError) as refusal:
            decoder.decode(fault, Shape(2, 3, 16))
    assert refusal.value.code == "corrupt_image"
    assert "ZZDOE" not in refusal.value.detail
    assert decoder._process.returncode is not None


def test_the_process_ends_with_the_series() -> None:
    scan = phantom((16, 16, 3))
    started = []

    class Noted(Decoder):
        def __init__(self, transfer_syntax: str, pixels: int) -> None:
            super().__init__(transfer_syntax, pixels)
            started.append(self._process)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("handler.volumes.dicom.series.Decoder", Noted)
        volume = read_study({"file": dicom_zip(scan, transfer_syntax=JPEG_LS)}).flair
    assert np.array_equal(volume.voxels, scan.voxels)
    assert len(started) == 1
    assert started[0].poll() is not None


def test_a_way_of_compression_that_is_not_known() -> None:
    with pytest.raises(RequestError, match="uncompressed") as refusal:
        check_supported("1.2.840.10008.1.2.4.102")
    assert refusal.value.code == "unsupported_format"
