"""Whether a scan is short work or long, told from its first bytes and a TIFF's chain of pages; no picture is looked
into, and a guess that is wrong costs an order of turns and nothing else."""

from __future__ import annotations

import re
import struct
import zlib

SHORT_PAGES = 4
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG")
_CLASSIC = {b"II*\0": "<", b"MM\0*": ">"}
_BIG = {b"II+\0": "<", b"MM\0+": ">"}
_GZIP, _DICOM, _DICOM_AT = b"\x1f\x8b", b"DICM", 128
_HEADER_BYTES = 2**20  # of a DICOM file: where its NumberOfFrames stands, if it has one
_FRAMES = re.compile(rb"\x28\x00\x08\x00(?:IS..|..\x00\x00)\s*(\d{1,12})", re.DOTALL)
# By the first number of a NIfTI: where its third side stands, and how.
_THIRD_SIDE = {348: (46, "h"), 540: (40, "q")}


def is_long(scan: bytes | memoryview) -> bool:
    """Pictures, and scans of at most :data:`SHORT_PAGES` slices as far as their headers say, are short; all else is
    long, a zip always."""
    head = bytes(scan[:4])
    if head.startswith(_PICTURES):
        return False
    if head in _CLASSIC:
        return _pages(scan, f"{_CLASSIC[head]}I", 4, f"{_CLASSIC[head]}H", 12) > SHORT_PAGES
    if head in _BIG:
        return _pages(scan, f"{_BIG[head]}Q", 8, f"{_BIG[head]}Q", 20) > SHORT_PAGES
    if scan[_DICOM_AT : _DICOM_AT + 4] == _DICOM:
        return _frames(scan) > SHORT_PAGES
    slices = _nifti_slices(_gunzipped(scan) if head.startswith(_GZIP) else bytes(scan[:64]))
    return slices is None or slices > SHORT_PAGES


def _frames(scan: bytes | memoryview) -> int:
    """Of a DICOM file; 1 where it does not say."""
    found = _FRAMES.search(scan[:_HEADER_BYTES])
    return int(found[1]) if found else 1


def _gunzipped(scan: bytes | memoryview) -> bytes:
    try:
        return zlib.decompressobj(wbits=31).decompress(scan[:4096], 64)
    except zlib.error:
        return b""


def _nifti_slices(head: bytes) -> int | None:
    """None for what is no NIfTI."""
    for order in "<>":
        if len(head) >= 64 and (found := _THIRD_SIDE.get(struct.unpack_from(f"{order}i", head)[0])):
            place, kind = found
            return int(struct.unpack_from(f"{order}{kind}", head, place)[0])
    return None


def _pages(scan: bytes | memoryview, pointer: str, first: int, count: str, entry: int) -> int:
    """Directories of a TIFF, counted no further than is asked."""
    pages = 0
    try:
        (place,) = struct.unpack_from(pointer, scan, first)
        while place and pages <= SHORT_PAGES:
            (entries,) = struct.unpack_from(count, scan, place)
            pages += 1
            (place,) = struct.unpack_from(pointer, scan, place + struct.calcsize(count) + entries * entry)
    except (struct.error, OverflowError):
        pass  # cut off or nonsense, which the handler will say in a moment
    return pages
