"""Elements of a series that no reader can make sense of: refused or passed over, never a fault of ours."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from numpy.typing import NDArray

from handler.card import FileRecord, InputSpec, ModelCard
from handler.pipeline import Model, answer
from prove.drawn.volumes import dicom_series, phantom, zipped

SHORT = tuple(kind.encode() for kind in ["AE", "AS", "CS", "DA", "DS", "IS", "LO", "PN", "SH", "TM", "UI", "US"])
UNKNOWN = b"QI"  # no value representation
AFTER_META = 132


class Still:
    name = "still"
    threads = at_once = batch = 1

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.full((len(images), 32, 32), -9, np.float32)


MODEL = Model(ModelCard("brainseg", "1.0", FileRecord("weights.safetensors", "", 1), input=InputSpec(32, 32)), Still())
FILES = dicom_series(phantom((32, 32, 3)))


def elements(data: bytes) -> list[int]:
    """Where each element with a short length begins, of an explicit little-endian file's own dataset."""
    at, found = AFTER_META, []
    while at + 8 <= len(data):
        kind = data[at + 4 : at + 6]
        if kind in SHORT:
            if data[at : at + 2] != b"\x02\x00":
                found.append(at)
            at += 8 + struct.unpack_from("<H", data, at + 6)[0]
        elif kind in (b"UL", b"FD", b"FL", b"SS", b"SL", b"LT", b"ST", b"AT"):
            at += 8 + struct.unpack_from("<H", data, at + 6)[0]
        else:
            at += 12 + struct.unpack_from("<I", data, at + 8)[0]
    return found


PLACES = elements(FILES[0][1])


def changed(at: int) -> bytes:
    """The series, an element of each file with a representation that there is not."""
    files = []
    for name, data in FILES:
        assert data[at : at + 4] == FILES[0][1][at : at + 4]
        files.append((name, data[: at + 4] + UNKNOWN + data[at + 6 :]))
    return zipped(files)


def test_the_elements_are_found() -> None:
    assert len(PLACES) > 20
    assert b"\x08\x00\x18\x00" in [FILES[0][1][at : at + 4] for at in PLACES]


@pytest.mark.parametrize("accept", ["application/json", "application/dicom", "application/zip"])
def test_no_element_of_an_unknown_kind_is_an_internal_error(accept: str) -> None:
    """The value of one that decides nothing is passed over; of the others each is refused by its code."""
    codes = {}
    for at in PLACES:
        outcome = answer(MODEL, {"body": bytearray(changed(at))}, {"Accept": accept, "X-BrainSeg-Outputs": "mask"})
        codes[FILES[0][1][at : at + 4].hex()] = (outcome.answer.status, outcome.code)
    assert not {tag: code for tag, code in codes.items() if code[0] >= 500}
    assert codes["08001800"][1] == ("ok" if accept == "application/json" else "not_acceptable")  # SOPInstanceUID
    assert codes["10001000"][1] == "ok"  # PatientName


def test_a_uid_that_claims_to_be_numbers() -> None:
    """42 bytes are no whole count of float64; pydicom's error for it is called by another name."""
    at = next(at for at in PLACES if FILES[0][1][at : at + 4] == b"\x08\x00\x18\x00")
    length = struct.unpack_from("<H", FILES[0][1], at + 6)[0]
    files = []
    for name, data in FILES:
        value = data[at + 8 : at + 8 + length][:42]
        files.append((name, data[: at + 4] + b"FD" + struct.pack("<H", 42) + value + data[at + 8 + length :]))
    assert answer(MODEL, {"body": bytearray(zipped(files))}, {"X-BrainSeg-Outputs": "mask"}).code == "ok"
