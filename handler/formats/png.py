"""PNG, 1 to 16 bits. libpng by way of imagecodecs, since Pillow reads 16-bit RGB as 8 bits without saying so."""

from __future__ import annotations

import io
import struct

import imagecodecs
import numpy as np
from PIL import Image

from handler.errors import RequestError
from handler.formats.raster import Raster, channel_warnings, drop_alpha, orient
from handler.intensity import default_range
from handler.limits import Limits

NAME = "png"
SIGNATURE = b"\x89PNG\r\n\x1a\n"
ORIENTATION_TAG = 274


def matches(data: bytes) -> bool:
    """Whether ``data`` begins like this format."""
    return data[:8] == SIGNATURE


def _chunks(data: bytes) -> list[tuple[bytes, int, int]]:
    """(type, start, length) of every chunk; raises ``corrupt_image`` where one runs past the end."""
    chunks, position = [], len(SIGNATURE)
    while position < len(data):
        if position + 12 > len(data):
            raise RequestError("corrupt_image", "The PNG ends inside a chunk: it was cut off. Send the whole file.")
        length, kind = struct.unpack_from(">I4s", data, position)
        if position + 12 + length > len(data):
            raise RequestError("corrupt_image", "The PNG ends inside a chunk: it was cut off. Send the whole file.")
        chunks.append((kind, position + 8, length))
        position += 12 + length
        if kind == b"IEND":
            break
    return chunks


def _check_structure(data: bytes, limits: Limits) -> set[bytes]:
    """Refuses from the header; returns the chunk types."""
    chunks = _chunks(data)
    if not chunks or chunks[0][0] != b"IHDR" or chunks[0][2] != 13:
        raise RequestError("corrupt_image", "The PNG does not begin with its header chunk.")
    width, height = struct.unpack_from(">II", data, chunks[0][1])
    limits.check_geometry(width, height)
    kinds = {kind for kind, _, _ in chunks}
    if b"acTL" in kinds:
        raise RequestError("unsupported_format", "The PNG is animated; send one image, or a stack as TIFF.")
    if b"IEND" not in kinds:
        raise RequestError("corrupt_image", "The PNG has no end chunk: it was cut off. Send the whole file.")
    return kinds


def _orientation(data: bytes) -> int:
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        return int(image.getexif().get(ORIENTATION_TAG, 1))


def read(data: bytes, limits: Limits) -> Raster:
    """Palette images come out as RGB, 1-, 2- and 4-bit grey scaled to 8 bits. Raises the contract's refusals; any
    other exception means a broken file."""
    kinds = _check_structure(data, limits)
    pixels = imagecodecs.png_decode(data)
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    orientation = _orientation(data) if b"eXIf" in kinds else 1
    warnings = channel_warnings(pixels.shape[-1])
    image = np.ascontiguousarray(orient(drop_alpha(pixels), orientation))
    return Raster(image[None], default_range(image.dtype), warnings)
