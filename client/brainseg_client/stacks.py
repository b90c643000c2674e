"""The PNGs of a stack as the pages of one TIFF, with what Python brings along: a picture library would be the client's
largest dependency by far."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SAMPLES = {0: 1, 2: 3}  # PNG's colour type -> samples a pixel: grey, RGB
DEFLATE, GREY, RGB = 8, 1, 2  # TIFF's numbers
SHORT, LONG = 3, 4
LARGEST = 2**28  # bytes of pixels in one picture; five times what the contract allows


@dataclass(frozen=True)
class Page:
    """8-bit pixels, row by row from the top, ``samples`` (1 or 3) a pixel."""

    width: int
    height: int
    samples: int
    pixels: bytes


def _chunks(png: bytes) -> Iterable[tuple[bytes, bytes]]:
    position = len(SIGNATURE)
    while position + 12 <= len(png):
        size, kind = struct.unpack_from(">I4s", png, position)
        yield kind, png[position + 8 : position + 8 + size]
        position += 12 + size


def _up(row: bytes, above: bytes) -> bytes:
    """The bytes' sums modulo 256, all at once: as two long numbers, added without their highest bits, whose sum is put
    in after that. The filter of the server's overlays; byte by byte it would take a hundred times as long."""
    size = len(row)
    left, right = int.from_bytes(row), int.from_bytes(above)
    low = int.from_bytes(b"\x7f" * size)
    return (((left & low) + (right & low)) ^ ((left ^ right) & ~low & ((1 << 8 * size) - 1))).to_bytes(size)


def _paeth(left: int, up: int, corner: int) -> int:
    to_left, to_up, to_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
    if to_left <= to_up and to_left <= to_corner:
        return left
    return up if to_up <= to_corner else corner


def _by_byte(kind: int, row: bytes, above: bytes, step: int) -> bytes:
    out = bytearray(row)
    for i in range(len(out)):
        left, corner = (out[i - step], above[i - step]) if i >= step else (0, 0)
        if kind == 1:
            guess = left
        elif kind == 3:
            guess = (left + above[i]) // 2
        else:
            guess = _paeth(left, above[i], corner)
        out[i] = (out[i] + guess) & 0xFF
    return bytes(out)


def _row(kind: int, row: bytes, above: bytes, step: int) -> bytes:
    """``row`` without the PNG filter ``kind``; ``step``: bytes a pixel."""
    if kind == 0 or not (any(row) or any(above)):  # most rows of a mask
        return row
    if kind == 2:
        return _up(row, above)
    if kind > 4:
        raise ValueError(f"a PNG's row has filter {kind}; expected 0 to 4")
    return _by_byte(kind, row, above, step)


def read_png(png: bytes) -> Page:
    """A PNG of 8 bits, grey or RGB, not interlaced, as the server draws masks and overlays. Raises ``ValueError`` for
    something else."""
    if not png.startswith(SIGNATURE):
        raise ValueError("expected a PNG")
    chunks = list(_chunks(png))
    if not chunks or chunks[0][0] != b"IHDR" or len(chunks[0][1]) != 13:
        raise ValueError("the PNG does not begin with its header")
    width, height, bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", chunks[0][1])
    if bits != 8 or colour not in SAMPLES or interlaced or not width or not height:
        raise ValueError(f"the PNG has {bits} bits and colour type {colour}; expected 8-bit grey or RGB")
    step = SAMPLES[colour]
    stride = 1 + width * step
    if height * stride > LARGEST:
        raise ValueError(f"the PNG has {width} x {height} pixels, more than any scan")
    inflater = zlib.decompressobj()
    try:
        rows = inflater.decompress(b"".join(data for kind, data in chunks if kind == b"IDAT"), height * stride)
    except zlib.error as error:
        raise ValueError(f"the PNG is damaged: {error}") from error
    if len(rows) != height * stride:
        raise ValueError("the PNG ends early")
    above, pixels = bytes(stride - 1), []
    for begin in range(0, len(rows), stride):
        above = _row(rows[begin], rows[begin + 1 : begin + stride], above, step)
        pixels.append(above)
    return Page(width, height, step, b"".join(pixels))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def black_png(width: int, height: int) -> bytes:
    """A grey PNG, all 0: the page of a slice that has no picture, so that page ``n`` stays slice ``n``."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(height * (1 + width)))
    return SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


def _directory(page: Page, strip: int, size: int, at: int) -> bytes:
    """The page's tags, to be written at ``at``; the offset of the next directory, its last four bytes, is 0."""
    one = page.samples == 1
    bits_at = at + 2 + 9 * 12 + 4
    tags = (
        (256, LONG, 1, page.width),
        (257, LONG, 1, page.height),
        (258, SHORT, page.samples, 8 if one else bits_at),
        (259, SHORT, 1, DEFLATE),
        (262, SHORT, 1, GREY if one else RGB),
        (273, LONG, 1, strip),
        (277, SHORT, 1, page.samples),
        (278, LONG, 1, page.height),
        (279, LONG, 1, size),
    )
    return struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)


def tiff_of(pictures: Iterable[bytes]) -> bytes:
    """PNGs (see :func:`read_png`) as one TIFF, a page each, deflate-compressed. Raises ``ValueError``."""
    out = bytearray(struct.pack("<2sHI", b"II", 42, 0))
    link = 4  # where the offset of the next directory belongs
    for picture in pictures:
        page = read_png(picture)
        strip, packed = len(out), zlib.compress(page.pixels, 6)
        out += packed + bytes(len(packed) % 2)  # a directory begins at an even offset
        struct.pack_into("<I", out, link, len(out))
        directory = _directory(page, strip, len(packed), len(out))
        link = len(out) + len(directory) - 4
        out += directory + struct.pack("<3H2x", 8, 8, 8)
    return bytes(out)
