"""JPEG, 8 bits, grey or colour, by Pillow."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image

from handler.errors import RequestError
from handler.formats.raster import Raster, channel_warnings, orient
from handler.limits import Limits
from handler.scan import ArraySource

NAME = "jpeg"
ORIENTATION_TAG = 274
BASELINE_TO_PROGRESSIVE = (0xC0, 0xC1, 0xC2)
START_OF_FRAME = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
START_OF_SCAN = 0xDA
WITHOUT_LENGTH = {0x00, 0x01, *range(0xD0, 0xDA)}


def matches(data: bytes) -> bool:
    """Whether ``data`` begins like this format."""
    return data[:3] == b"\xff\xd8\xff"


def frame_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) that a JPEG stream claims for itself; None unless exactly one frame header, of a kind that is
    decoded here (T.81: baseline, extended, progressive), comes before the first scan."""
    size, position = None, 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        if marker in WITHOUT_LENGTH:
            return None
        if marker == START_OF_SCAN:
            return size
        if marker in START_OF_FRAME:
            if size is not None or marker not in BASELINE_TO_PROGRESSIVE or position + 9 > len(data):
                return None
            height, width = struct.unpack_from(">HH", data, position + 5)
            size = (width, height)
        position += 2 + struct.unpack_from(">H", data, position + 2)[0]
    return None


def check_scans(data: bytes, limits: Limits) -> None:
    """Raises ``too_large`` for a progressive stream of very many scans: each goes over the whole picture, however few
    bytes it has (33 bytes cost 10 ms at 4096 x 4096). The marker cannot occur among coded pixels."""
    scans = data.count(bytes((0xFF, START_OF_SCAN)))
    if scans > limits.jpeg_scans:
        raise RequestError(
            "too_large", f"The JPEG has {scans} scans; at most {limits.jpeg_scans} are taken. Save it as baseline."
        )


def read(data: bytes, limits: Limits) -> Raster:
    """Raises ``unsupported_shape`` for CMYK, ``corrupt_image`` (by way of Pillow's errors) for broken files."""
    if size := frame_size(data):  # before Pillow, which has a limit and an error of its own
        limits.check_geometry(*size)
    check_scans(data, limits)
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
        limits.check_geometry(image.width, image.height)
        if image.mode not in ("L", "RGB"):
            raise RequestError(
                "unsupported_shape", f"The JPEG's colours are {image.mode}; expected grey or RGB. Convert the scan."
            )
        orientation = image.getexif().get(ORIENTATION_TAG, 1)
        pixels = np.asarray(image)
    pixels = orient(pixels.reshape(*pixels.shape[:2], -1), orientation)
    return Raster(ArraySource(pixels[None]), (0.0, 255.0), channel_warnings(pixels.shape[-1]))
