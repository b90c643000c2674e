"""JPEG, 8 bits, grey or colour, by Pillow."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from handler.errors import RequestError
from handler.formats.raster import Raster, channel_warnings, orient
from handler.limits import Limits

NAME = "jpeg"
ORIENTATION_TAG = 274


def matches(data: bytes) -> bool:
    """Whether ``data`` begins like this format."""
    return data[:3] == b"\xff\xd8\xff"


def read(data: bytes, limits: Limits) -> Raster:
    """Raises ``unsupported_shape`` for CMYK, ``corrupt_image`` (by way of Pillow's errors) for broken files."""
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
        limits.check_geometry(image.width, image.height)
        if image.mode not in ("L", "RGB"):
            raise RequestError(
                "unsupported_shape", f"The JPEG's colours are {image.mode}; expected grey or RGB. Convert the scan."
            )
        orientation = image.getexif().get(ORIENTATION_TAG, 1)
        pixels = np.asarray(image)
    pixels = orient(pixels.reshape(*pixels.shape[:2], -1), orientation)
    return Raster(pixels[None], (0.0, 255.0), channel_warnings(pixels.shape[-1]))
