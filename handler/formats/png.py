"""PNG, 1 to 16 bits. libpng by way of imagecodecs, since Pillow reads 16-bit RGB as 8 bits without saying so."""

from __future__ import annotations

import io
import struct
from typing import NamedTuple

import imagecodecs
import numpy as np
from isal import isal_zlib
from PIL import Image

from handler.errors import RequestError
from handler.formats.raster import Raster, channel_warnings, drop_alpha, orient
from handler.intensity import default_range
from handler.limits import Limits
from handler.scan import ArraySource

NAME = "png"
SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER_BYTES, SIZE_AT = 24, 16  # up to the size in pixels, and where it stands: width and height, big-endian
ORIENTATION_TAG = 274
ANCILLARY = 0x20  # this bit of a chunk's first letter says that an image can be shown without the chunk
KEPT = (b"tRNS", b"eXIf")
INFLATE_STEP = 2**20


class Chunk(NamedTuple):
    """``start`` and ``length`` of its data in the file."""

    kind: bytes
    start: int
    length: int


def matches(data: bytes) -> bool:
    """Whether ``data`` begins like this format."""
    return data[:8] == SIGNATURE


def _chunks(data: bytes, limits: Limits) -> list[Chunk]:
    """Every chunk; raises ``corrupt_image`` where one runs past the end or there are far too many."""
    chunks, position = [], len(SIGNATURE)
    while position < len(data):
        if position + 12 > len(data):
            raise RequestError("corrupt_image", "The PNG ends inside a chunk: it was cut off. Send the whole file.")
        length, kind = struct.unpack_from(">I4s", data, position)
        if position + 12 + length > len(data):
            raise RequestError("corrupt_image", "The PNG ends inside a chunk: it was cut off. Send the whole file.")
        chunks.append(Chunk(kind, position + 8, length))
        if len(chunks) > limits.segments:
            raise RequestError("corrupt_image", f"The PNG has more than {limits.segments} chunks.")
        position += 12 + length
        if kind == b"IEND":
            break
    return chunks


def _check_structure(data: bytes, chunks: list[Chunk], limits: Limits) -> None:
    """Refuses from the header, then what inflates to more than the header allows."""
    if not chunks or chunks[0].kind != b"IHDR" or chunks[0].length != 13:
        raise RequestError("corrupt_image", "The PNG does not begin with its header chunk.")
    width, height = struct.unpack_from(">II", data, chunks[0].start)
    limits.check_geometry(width, height)
    kinds = {chunk.kind for chunk in chunks}
    if b"acTL" in kinds:
        raise RequestError("unsupported_format", "The PNG is animated; send one image, or a stack as TIFF.")
    if b"IEND" not in kinds:
        raise RequestError("corrupt_image", "The PNG has no end chunk: it was cut off. Send the whole file.")
    # At most 4 samples of 2 bytes a pixel; when interlaced, two filter bytes a row and a few for each pass.
    _check_inflated(data, chunks, height * (8 * width + 16))


def _check_inflated(data: bytes, chunks: list[Chunk], most: int) -> None:
    """libpng goes on inflating, into nothing, what comes after the last pixel: minutes for a crafted 60 MB."""
    inflater, inflated = isal_zlib.decompressobj(), 0
    for chunk in chunks:
        part = data[chunk.start : chunk.start + chunk.length] if chunk.kind == b"IDAT" else b""
        while part and not inflater.eof:
            inflated += len(inflater.decompress(part, INFLATE_STEP))
            part = inflater.unconsumed_tail
            if inflated > most:
                raise RequestError("corrupt_image", "The PNG holds more data than its size in pixels allows.")


def _bare(data: bytes, chunks: list[Chunk]) -> bytes:
    """The file with no more than its critical chunks, transparency and EXIF: of each text and colour profile libpng
    would inflate up to 8 MB, only to drop it."""
    wanted = [chunk for chunk in chunks if not chunk.kind[0] & ANCILLARY or chunk.kind in KEPT]
    return SIGNATURE + b"".join(data[chunk.start - 8 : chunk.start + chunk.length + 4] for chunk in wanted)


def _orientation(data: bytes) -> int:
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        return int(image.getexif().get(ORIENTATION_TAG, 1))


def read(data: bytes, limits: Limits) -> Raster:
    """Palette images come out as RGB, 1-, 2- and 4-bit grey scaled to 8 bits. Raises the contract's refusals; any
    other exception means a broken file."""
    chunks = _chunks(data, limits)
    _check_structure(data, chunks, limits)
    bare = _bare(data, chunks)
    pixels = imagecodecs.png_decode(bare)
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    orientation = _orientation(bare) if any(chunk.kind == b"eXIf" for chunk in chunks) else 1
    warnings = channel_warnings(pixels.shape[-1])
    image = np.ascontiguousarray(orient(drop_alpha(pixels), orientation))
    return Raster(ArraySource(image[None]), default_range(image.dtype), warnings)
