"""Which kind of volume some bytes are, by their first ones: never by a name."""

from __future__ import annotations

import struct
import zlib

NIFTI_MAGICS = {348: (344, (b"n+1\0", b"ni1\0")), 540: (4, (b"n+2\0\r\n\x1a\n", b"ni2\0\r\n\x1a\n"))}
HEADER_BYTES = 540
ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")
GZIP_MAGIC = b"\x1f\x8b"


def nifti_version(head: bytes) -> int | None:
    """1 or 2 for a header of NIfTI in either byte order, pairs of files included; 0 for one of ANALYZE 7.5, which has
    the size but no magic; None for anything else."""
    if len(head) < 348:
        return None
    for order in "<>":
        (size,) = struct.unpack_from(f"{order}i", head)
        if size in NIFTI_MAGICS:
            place, magics = NIFTI_MAGICS[size]
            if head[place:].startswith(magics):
                return 1 if size == 348 else 2
            if size == 348 and 1 <= struct.unpack_from(f"{order}h", head, 40)[0] <= 7:
                return 0
    return None


def gunzipped_head(data: bytes, size: int = HEADER_BYTES) -> bytes:
    """The first ``size`` bytes inside of a gzip, fewer where it is short or broken."""
    try:
        return zlib.decompressobj(wbits=31).decompress(data[:65536], size)
    except zlib.error:
        return b""


def is_dicom(data: bytes) -> bool:
    """Whether there is a preamble, or else a first element that only DICOM begins with: the file meta information
    or the identifying group, in order, with a plausible length."""
    if data[128:132] == b"DICM":
        return True
    if len(data) < 16 or data[:2] not in (b"\x02\x00", b"\x08\x00"):
        return False
    (element,) = struct.unpack_from("<H", data, 2)
    vr, length = data[4:6], struct.unpack_from("<I", data, 4)[0]
    return element <= 0x0070 and (vr in (b"UL", b"OB", b"CS", b"UI", b"DA", b"TM", b"SH", b"LO") or length <= 256)


def kind_of(data: bytes) -> str | None:
    """``nifti``, ``nifti.gz``, ``dicom``, ``zip``, or None for whatever else it is."""
    if data.startswith(ZIP_MAGICS):
        return "zip"
    if nifti_version(data[:HEADER_BYTES]) is not None:
        return "nifti"
    if data.startswith(GZIP_MAGIC):
        return "nifti.gz" if nifti_version(gunzipped_head(data)) is not None else None
    return "dicom" if is_dicom(data) else None


def is_volume(data: bytes) -> bool:
    """Whether :func:`handler.volumes.study.read_study` is what should read ``data``, or refuse it with a fitting
    reason: a NIfTI, packed by gzip or not, a DICOM file, or a zip (of whatever). Pictures are not volumes."""
    return kind_of(data) is not None
