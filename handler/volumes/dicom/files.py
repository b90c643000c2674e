"""The bytes of a DICOM file -> its header, and where its pixels lie. Pixels are neither copied nor read."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import Any

from pydicom.dataset import FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.uid import UID

from handler.errors import RequestError
from handler.limits import Limits
from handler.volumes.dicom.values import Budget, Metered
from handler.volumes.zips import Packed

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)  # float, double, and what scanners write
LONG = (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UC", b"UN", b"UR", b"UT", b"SV", b"UV")
UNDEFINED = 0xFFFFFFFF


@dataclass(frozen=True, eq=False)
class Instance:
    """``number``: the file's place in the upload, from 1. ``dataset``: everything before the pixels. ``pixels``: the
    bytes of the element, None where there is none; with ``encapsulated`` the items of a compressed one. ``tag``: which
    of :data:`PIXELS`. ``words``: whether big-endian 8-bit pixels come in swapped pairs (VR OW)."""

    number: int
    dataset: Any = field(repr=False)
    transfer_syntax: str
    pixels: memoryview | None
    encapsulated: bool
    tag: int
    words: bool

    @property
    def big_endian(self) -> bool:
        return self.transfer_syntax == BIG_ENDIAN


def _broken(number: int, what: str) -> RequestError:
    return RequestError(
        "corrupt_image", f"File {number} is DICOM but {what}. It may be cut off or damaged; export the series again."
    )


def _meta(data: bytes, begin: int, number: int) -> tuple[str | None, int]:
    """The transfer syntax of the file meta information, and where the dataset begins. Always explicit, little-endian
    (PS3.10, 7.1)."""
    syntax, place = None, begin
    while data[place : place + 2] == b"\x02\x00":
        if place + 12 > len(data):
            raise _broken(number, "ends within its first elements")
        vr = data[place + 4 : place + 6]
        wide = vr in LONG
        (length,) = struct.unpack_from("<I" if wide else "<H", data, place + (8 if wide else 6))
        inside = place + (12 if wide else 8)
        if inside + length > len(data):
            raise _broken(number, "ends within its first elements")
        if data[place + 2 : place + 4] == b"\x10\x00":
            syntax = data[inside : inside + length].rstrip(b"\0 ").decode("ascii", "replace")
        place = inside + length
    return syntax, place


def _inflated(data: bytes, begin: int, number: int, limits: Limits) -> bytes:
    stream = zlib.decompressobj(wbits=-15)
    try:
        out = stream.decompress(memoryview(data)[begin:], limits.unpacked_bytes)
    except zlib.error:
        raise _broken(number, "its deflated part cannot be unpacked") from None
    if stream.unconsumed_tail and not stream.eof:
        raise RequestError("too_large", f"File {number} unpacks to more than {limits.unpacked_bytes} bytes.")
    if not stream.eof:
        raise _broken(number, "its deflated part ends early")
    return out


def _syntax(data: bytes, begin: int, number: int) -> tuple[str, int]:
    syntax, place = _meta(data, begin, number)
    if syntax is None:
        # Without file meta information: the default of the standard, or explicit, as the first element shows.
        syntax = (
            EXPLICIT if data[place + 4 : place + 6].isalpha() and data[place + 4 : place + 6].isupper() else IMPLICIT
        )
    return syntax, place


def _pixels(data: bytes, place: int, syntax: str, number: int) -> tuple[int, memoryview | None, bool, bool]:
    """Tag, bytes, whether encapsulated, whether in words."""
    order = ">" if syntax == BIG_ENDIAN else "<"
    if place + 12 > len(data):
        return 0, None, False, False
    group, element = struct.unpack_from(f"{order}HH", data, place)
    vr = b"OW" if syntax == IMPLICIT else data[place + 4 : place + 6]
    head = 8 if syntax == IMPLICIT else 12
    (length,) = struct.unpack_from(f"{order}I", data, place + head - 4)
    tag, inside = group << 16 | element, place + head
    if length == UNDEFINED:
        return tag, memoryview(data)[inside:], True, False
    if inside + length > len(data):
        raise _broken(number, f"ends after {len(data) - inside} of its {length} bytes of pixels")
    return tag, memoryview(data)[inside : inside + length], False, vr == b"OW"


def parse(file: Packed, limits: Limits, budget: Budget) -> Instance:
    """Raises ``corrupt_image``, or ``too_large`` for a deflated file or headers beyond the limits."""
    data = file.data
    syntax, place = _syntax(data, 132 if data[128:132] == b"DICM" else 0, file.number)
    if syntax == DEFLATED:
        data, place, syntax = _inflated(data, place, file.number, limits), 0, EXPLICIT
    stream = Metered(data, budget)
    stream.seek(place)
    try:
        dataset = read_dataset(
            stream,
            is_implicit_VR=syntax == IMPLICIT,
            is_little_endian=syntax != BIG_ENDIAN,
            stop_when=lambda tag, vr, length: tag in PIXELS,
        )
    except RequestError:
        raise
    except Exception as error:
        raise _broken(file.number, f"its header cannot be read ({type(error).__name__})") from None
    if not len(dataset):
        raise _broken(file.number, "has no elements")
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    tag, pixels, encapsulated, words = _pixels(data, stream.tell(), syntax, file.number)
    return Instance(file.number, dataset, syntax, pixels, encapsulated, tag, words)
