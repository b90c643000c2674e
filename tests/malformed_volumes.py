"""Hundreds of broken, foreign and hostile volumes, the same ones every time, none of them large.

What reads volumes must answer each with a refusal of the contract, or read it where the damage did no harm."""

from __future__ import annotations

import gzip
import random
import struct
from collections.abc import Iterator

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import DeflatedExplicitVRLittleEndian

from prove.drawn.volumes import (
    JPEG_2000,
    JPEG_LOSSLESS,
    JPEG_LS,
    RLE,
    SENTINEL,
    Change,
    dicom_enhanced,
    dicom_series,
    dicom_zip,
    nifti,
    phantom,
    zipped,
)
from prove.drawn.whole import SCAN, whole_volumes

Named = Iterator[tuple[str, bytes]]


def truncated() -> Named:
    for name, data in whole_volumes().items():
        for share in (0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99):
            yield f"{name}/cut at {share}", data[: int(share * len(data))]


def flipped() -> Named:
    """Single bits, half of them where headers are; and runs of rubbish and zeros, near the end where pixels are."""
    for name, data in whole_volumes().items():
        generator = random.Random(name)
        for number in range(8):
            place = generator.randrange(min(len(data), 1500) if number % 2 else len(data))
            damaged = bytearray(data)
            damaged[place] ^= 1 << generator.randrange(8)
            yield f"{name}/bit flipped at {place} ({number})", bytes(damaged)
        for share in (0.3, 0.6, 0.95):
            place = int(share * len(data))
            yield f"{name}/rubbish at {share}", data[:place] + generator.randbytes(40) + data[place + 40 :]
        yield f"{name}/zeros in the middle", data[: len(data) // 2] + bytes(60) + data[len(data) // 2 + 60 :]
        yield f"{name}/twice", data + data


def _set(keyword: str, value: object, which: int = 0) -> Change:
    """On the first slice; on a whole Enhanced object where ``which`` is -1."""

    def change(k: int, dataset: Dataset) -> None:
        if k == which:
            setattr(dataset, keyword, value)

    return change


def lying() -> Named:
    """Headers that claim what is not there."""
    sides = [[3, 32767, 32767, 32767], [3, 32767, 1, 1], [7, 2, 2, 2, 2, 2, 2, 2], [0], [8, 1], [-1]]
    for dim in sides:
        yield f"nifti of dim {dim}", nifti(SCAN, fields={"dim": (dim + [1] * 8)[:8]})
    for number in (np.nan, np.inf, -1e38, 0.0):
        for name in ("srow_x", "srow_y", "srow_z"):
            yield f"nifti with {name} {number}", nifti(SCAN, fields={name: [number] * 4})
        yield f"nifti with pixdim {number}", nifti(SCAN, fields={"pixdim": [number] * 8, "sform_code": 0})
        for name in ("quatern_b", "scl_slope", "scl_inter", "vox_offset", "qoffset_x"):
            yield f"nifti with {name} {number}", nifti(SCAN, fields={name: number})
    for code in (0, 1, 32, 128, 1536, 1792, 2048, 2304, 9999):
        yield f"nifti of data type {code}", nifti(SCAN, fields={"datatype": code})
    yield "nifti 2 of 2**62 voxels a side", nifti(SCAN, version=2, fields={"dim": [3, 2**62, 2**62, 2**62, 1, 1, 1, 1]})
    claims: list[tuple[str, object]] = [
        ("Rows", 65535),
        ("Columns", 0),
        ("NumberOfFrames", 2_000_000_000),
        ("NumberOfFrames", -1),
        ("BitsAllocated", 1),
        ("BitsStored", 17),
        ("SamplesPerPixel", 0),
        ("PixelRepresentation", 7),
        ("PixelData", b""),
        ("SOPClassUID", "1.2.3"),
    ]
    for keyword, value in claims:
        yield f"enhanced with {keyword} {value!r}", dicom_enhanced(SCAN, change=_set(keyword, value, -1))
        yield f"slices with {keyword} {value!r}", dicom_zip(SCAN, change=_set(keyword, value))
    for keyword in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"):
        yield f"enhanced with an empty {keyword}", dicom_enhanced(SCAN, change=_set(keyword, DicomSequence([]), -1))
    wide: list[tuple[str, object]] = [
        ("ImagePositionPatient", [1e300, 0, 0]),
        ("ImageOrientationPatient", [0] * 6),
        ("PixelSpacing", [-1, 1]),
        ("RescaleSlope", 1e308),
        ("ImageType", ["A"] * 500),
        ("EchoTime", [1.0] * 900),
    ]
    for keyword, value in wide:
        yield f"slices with {keyword} out of range", dicom_zip(SCAN, change=_set(keyword, value))


def traps() -> Named:
    """Small files that claim, hide or repeat a lot."""
    yield "gzip bomb behind a header", gzip.compress(nifti(SCAN)[:352] + bytes(60_000_000), mtime=0)
    yield "gzip bomb without a header", gzip.compress(bytes(30_000_000), mtime=0)
    yield "zip bomb", zipped([("a.dcm", bytes(40_000_000))])
    yield "zip of 6000 files", zipped([(f"{n}", b"") for n in range(6000)])
    for name in (f"../../{SENTINEL}", f"/{SENTINEL}", f"..\\{SENTINEL}", f"C:\\{SENTINEL}", f"a/../../{SENTINEL}"):
        yield f"zip slip {name}", zipped([(name, dicom_series(SCAN)[0][1])])
    yield "zip in a zip", zipped([("a.zip", dicom_zip(SCAN))])
    yield "empty zip", zipped([])
    yield "zip of text", zipped([("a.txt", b"text"), ("b.html", b"<html>")])
    head = bytes(128) + b"DICM"
    meta = b"\x02\0\x10\0UI\x14\0" + b"1.2.840.10008.1.2.1\0"
    nest = b"\x40\0\x75\x02SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff"
    yield "dicom of nothing", head
    yield "dicom of zeros", head + bytes(3000)
    yield "dicom of noise", head + random.Random(0).randbytes(3000)
    yield "dicom nested 3000 deep", head + meta + nest * 3000
    yield "dicom of 50,000 empty items", head + meta + nest[:12] + b"\xfe\xff\0\xe0\0\0\0\0" * 50_000
    yield "dicom of an element of 4 GB", head + meta + b"\x08\0\x18\0OB\0\0\xfe\xff\xff\xff" + bytes(50)
    bomb = dicom_series(SCAN, transfer_syntax=DeflatedExplicitVRLittleEndian)[0][1]
    yield "deflated dicom cut", bomb[:-20]
    for syntax, name in ((JPEG_LOSSLESS, "jpeg"), (JPEG_LS, "jpeg-ls"), (JPEG_2000, "jpeg 2000"), (RLE, "rle")):
        swapped = dicom_series(SCAN)[0][1].replace(b"1.2.840.10008.1.2.1\0", syntax.encode()[:20])
        yield f"{name} in another's clothes", swapped
        other = dicom_series(phantom((64, 64, 4)), transfer_syntax=syntax)[0][1]
        small = struct.pack("<HH2sHH", 0x28, 0x10, b"US", 2, 18)
        yield f"{name} larger than its header", other.replace(struct.pack("<HH2sHH", 0x28, 0x10, b"US", 2, 64), small)
        data = dicom_series(SCAN, transfer_syntax=syntax)[0][1]
        begin = data.index(b"\xe0\x7f\x10\0") + 40
        for number in range(6):
            damaged = bytearray(data)
            place = begin + random.Random(f"{name}{number}").randrange(len(data) - begin)
            damaged[place] ^= 255
            yield f"{name} damaged at {place} ({number})", bytes(damaged)


def malformed_volumes() -> list[tuple[str, bytes]]:
    """(name, file), names unique and stable."""
    return [*truncated(), *flipped(), *lying(), *traps()]
