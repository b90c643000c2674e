"""One compressed frame -> its numbers. What a stream claims of itself is compared with the header before a decoder, all
of them C, gets to see it: libjpeg-turbo, CharLS and OpenJPEG by way of imagecodecs, under permissive licences."""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from handler.errors import RequestError

RLE = "1.2.840.10008.1.2.5"
MOST_SCANS = 64
MOST_TILES = 4096
J2K_MAGIC = b"\xff\x4f\xff\x51"


@dataclass(frozen=True)
class Shape:
    """What the DICOM header says of a frame. ``bits``: allocated for a number, 8 or 16."""

    rows: int
    columns: int
    bits: int


def _mismatch(claimed: tuple[int, int], samples: int, bits: int, shape: Shape) -> RequestError:
    return RequestError(
        "corrupt_image",
        f"A compressed frame claims {claimed[0]} x {claimed[1]} pixels of {samples} samples and {bits} bits; its "
        f"header {shape.columns} x {shape.rows} of 1 and at most {shape.bits}.",
    )


def _check(claimed: tuple[int, int], samples: int, bits: int, shape: Shape) -> None:
    if claimed != (shape.columns, shape.rows) or samples != 1 or not 2 <= bits <= shape.bits:
        raise _mismatch(claimed, samples, bits, shape)


def check_jpeg(data: bytes, shape: Shape, frames: tuple[int, ...]) -> None:
    """Walks the markers to the first scan: one frame header, of a kind in ``frames``, of the expected size."""
    place, seen = 2, False
    if data[:2] != b"\xff\xd8" or data.count(b"\xff\xda") > MOST_SCANS:
        raise RequestError("corrupt_image", "A compressed frame is no JPEG stream, or one of very many scans.")
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == 0xFF:
            place += 1
            continue
        if marker == 0xDA:
            break
        (length,) = struct.unpack_from(">H", data, place + 2)
        if (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xF7:
            if seen or marker not in frames or place + 10 > len(data):
                raise RequestError("corrupt_image", "A compressed frame is of another JPEG process than announced.")
            bits, height, width, samples = struct.unpack_from(">BHHB", data, place + 4)
            _check((width, height), samples, bits, shape)
            seen = True
        place += 2 + length
    if not seen:
        raise RequestError("corrupt_image", "A compressed frame has no JPEG frame header before its first scan.")


def _jpeg(data: bytes, shape: Shape, frames: tuple[int, ...]) -> NDArray[Any]:
    check_jpeg(data, shape, frames)
    return np.asarray(imagecodecs.jpeg8_decode(data))


def _baseline(data: bytes, shape: Shape) -> NDArray[Any]:
    return _jpeg(data, shape, (0xC0, 0xC1))


def _lossless(data: bytes, shape: Shape) -> NDArray[Any]:
    return _jpeg(data, shape, (0xC3,))


def _jpegls(data: bytes, shape: Shape) -> NDArray[Any]:
    check_jpeg(data, shape, (0xF7,))
    if not data.rstrip(b"\0").endswith(b"\xff\xd9"):  # CharLS would look for the rest for seconds
        raise RequestError("corrupt_image", "A compressed frame ends before its end marker. Export the series again.")
    return np.asarray(imagecodecs.jpegls_decode(data))


def _jpeg2000(data: bytes, shape: Shape) -> NDArray[Any]:
    """The SIZ marker (15444-1, A.5.1) is looked at, within the boxes of a JP2 too."""
    place = data.find(J2K_MAGIC)
    if place < 0 or place + 44 > len(data) or data.count(J2K_MAGIC) > 1:
        raise RequestError("corrupt_image", "A compressed frame is no JPEG 2000 stream.")
    right, bottom, left, top, tile_x, tile_y, _, _, samples = struct.unpack_from(">8IH", data, place + 8)
    bits = (data[place + 42] & 0x7F) + 1
    _check((right - left, bottom - top), samples, bits, shape)
    if min(tile_x, tile_y) < 1 or math.ceil(right / tile_x) * math.ceil(bottom / tile_y) > MOST_TILES:
        raise RequestError("corrupt_image", "A compressed frame is cut into very many tiles.")
    return np.asarray(imagecodecs.jpeg2k_decode(data))


def _rle(data: bytes, shape: Shape) -> NDArray[Any]:
    """PS3.5, G.3: a segment for each byte of a number, the highest first, each packed by PackBits."""
    count = shape.bits // 8
    if len(data) < 64 or struct.unpack_from("<I", data)[0] != count:
        raise RequestError("corrupt_image", f"A compressed frame does not have the {count} segments of its header.")
    begins = [*struct.unpack_from(f"<{count}I", data, 4), len(data)]
    size, planes = shape.rows * shape.columns, []
    for begin, end in itertools.pairwise(begins):
        if not 64 <= begin < end <= len(data):
            raise RequestError("corrupt_image", "A compressed frame's segments do not follow each other.")
        plane = _packbits(data[begin:end], size)
        planes.append(plane.reshape(shape.rows, shape.columns).astype(np.uint32))
    return np.asarray(sum(plane << (8 * n) for n, plane in enumerate(reversed(planes))))


def _packbits(data: bytes, size: int) -> NDArray[np.uint8]:
    """Exactly ``size`` bytes and not one more is written, whatever the data says."""
    if len(data) > 2 * size + 64:  # the worst packing there is adds a byte to 128
        raise RequestError("corrupt_image", "A compressed frame's segment is longer than its rows and columns.")
    out, place, filled = bytearray(size), 0, 0
    while filled < size and place < len(data):
        length = data[place]
        if length == 128:
            place += 1
            continue
        run = length + 1 if length < 128 else 257 - length
        piece = data[place + 1 : place + 1 + run] if length < 128 else data[place + 1 : place + 2] * run
        if len(piece) < run or filled + run > size:
            raise RequestError("corrupt_image", "A compressed frame's segment does not fill its rows and columns.")
        out[filled : filled + run] = piece
        filled += run
        place += 1 + (run if length < 128 else 1)
    if filled < size or data[place:].strip(b"\0")[1:]:  # one byte of padding is allowed, zeros are harmless
        raise RequestError("corrupt_image", "A compressed frame's segment does not fill its rows and columns.")
    return np.frombuffer(out, np.uint8)


CODECS: dict[str, Callable[[bytes, Shape], NDArray[Any]]] = {
    "1.2.840.10008.1.2.4.50": _baseline,
    "1.2.840.10008.1.2.4.51": _baseline,
    "1.2.840.10008.1.2.4.57": _lossless,
    "1.2.840.10008.1.2.4.70": _lossless,
    "1.2.840.10008.1.2.4.80": _jpegls,
    "1.2.840.10008.1.2.4.81": _jpegls,
    "1.2.840.10008.1.2.4.90": _jpeg2000,
    "1.2.840.10008.1.2.4.91": _jpeg2000,
    RLE: _rle,
}


def check_supported(transfer_syntax: str) -> None:
    """Raises ``unsupported_format`` for a transfer syntax that is not in :data:`CODECS`."""
    if transfer_syntax not in CODECS:
        raise RequestError(
            "unsupported_format",
            "The pixels are compressed in a way that is not supported; expected JPEG, JPEG-LS, JPEG 2000 or RLE. "
            "Export the series uncompressed.",
        )


def decompress(data: bytes, transfer_syntax: str, shape: Shape) -> NDArray[Any]:
    """Whole numbers (rows, columns). Raises ``unsupported_format`` for a transfer syntax that is not in
    :data:`CODECS`, ``corrupt_image`` for a stream that is not what the header says, or broken."""
    check_supported(transfer_syntax)
    try:
        found = CODECS[transfer_syntax](data, shape)
    except RequestError:
        raise
    except Exception as error:
        raise RequestError(
            "corrupt_image", f"A compressed frame cannot be decoded ({type(error).__name__}). Export the series again."
        ) from None
    if found.shape != (shape.rows, shape.columns) or found.dtype.kind not in "ui":
        raise RequestError("corrupt_image", "A compressed frame decodes to another size than its header says.")
    return found
