"""One page of a TIFF -> its pixels. Decoded without a second copy of the page, which may have 192 MiB."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import tifffile
from numpy.typing import NDArray

from handler.errors import RequestError
from handler.formats.jpeg import check_scans, frame_size
from handler.formats.raster import drop_alpha, orient
from handler.limits import Limits

JPEG = 7
MIN_IS_WHITE, PALETTE = 0, 3
TAG_ORIENTATION = 274
BAND = 256  # rows


def sample_type(page: tifffile.TiffPage) -> np.dtype[np.generic]:
    """The dtype of the decoded samples; 1-bit ones become uint8."""
    return np.dtype(np.uint8) if page.dtype is None or page.dtype.kind == "b" else np.dtype(page.dtype)


def pixel_type(page: tifffile.TiffPage) -> np.dtype[np.generic]:
    """The dtype of the pixels that :func:`read_page` gives: float32 for all floats, uint8 for palettes."""
    if page.photometric == PALETTE:
        return np.dtype(np.uint8)
    dtype = sample_type(page)
    return np.dtype(np.float32) if dtype.kind == "f" else dtype.newbyteorder("=")


def pixel_shape(page: tifffile.TiffPage) -> tuple[int, int, int]:
    """(height, width, 1 or 3) of the pixels that :func:`read_page` gives, upright."""
    height, width = page.imagelength, page.imagewidth
    if orientation(page) in (5, 6, 7, 8):
        height, width = width, height
    return height, width, 3 if page.samplesperpixel > 2 or page.photometric == PALETTE else 1


def orientation(page: tifffile.TiffPage) -> int:
    """1..8, TIFF 6.0."""
    return int(page.tags.valueof(TAG_ORIENTATION, 1))


def _check_jpeg_segments(data: bytes, page: tifffile.TiffPage, limits: Limits) -> None:
    """A JPEG strip carries a size of its own, which the decoder obeys: it must not exceed what the page claims."""
    bounds = (page.tilewidth, page.tilelength) if page.is_tiled else (page.imagewidth, page.imagelength)
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False):
        segment = data[offset : offset + count]
        check_scans(segment, limits)
        size = frame_size(segment)
        if size is None or size[0] > bounds[0] or size[1] > bounds[1]:
            raise RequestError("corrupt_image", f"A JPEG strip of the TIFF claims {size} pixels, its page {bounds}.")


def _samples(page: tifffile.TiffPage) -> NDArray[np.generic]:
    """(h, w, samples) as stored. Of a page that is one strip, the strip itself: tifffile would copy it."""
    planes, _, height, width, samples = page.shaped
    if math.prod(page.chunked) == 1 and not page.is_contiguous:
        ((segment, _, _),) = page.segments(maxworkers=1, _fullsize=False)
        if segment is not None:
            return segment[0, :height, :width]
    image = page.asarray(maxworkers=1).reshape(planes, height, width, samples)
    return image[0] if planes == 1 else image[..., 0].transpose(1, 2, 0)


def _turned(image: NDArray[np.generic], white: float, black: float) -> NDArray[np.generic]:
    """White-is-zero samples the other way round, in bands of rows."""
    turned = np.empty_like(image)
    for top in range(0, len(image), BAND):
        # float64: what lies outside the range would wrap round in an integer type.
        band = white + black - np.clip(image[top : top + BAND].astype(np.float64), white, black)
        turned[top : top + BAND] = (band if image.dtype.kind == "f" else np.rint(band)).astype(image.dtype)
    return turned


def _colours(
    page: tifffile.TiffPage, image: NDArray[np.generic], white_black: tuple[float, float]
) -> NDArray[np.generic]:
    """Palette to 8-bit RGB; white-is-zero turned round within ``white_black``, the range of its samples."""
    if page.photometric == PALETTE:
        if page.colormap is None:
            raise RequestError("corrupt_image", "The TIFF is a palette image without a palette.")
        palette = np.asarray(page.colormap, np.uint16)  # (3, entries)
        return (palette[:, image[..., 0]] >> 8).astype(np.uint8).transpose(1, 2, 0)
    if page.photometric == MIN_IS_WHITE:
        return _turned(image, *white_black)
    return image


@dataclass(frozen=True)
class PageReader:
    """Reads pages of the file ``data``; ``white_black``: the range of white-is-zero samples."""

    data: bytes
    white_black: tuple[float, float]
    limits: Limits

    def read(self, page: tifffile.TiffPage) -> NDArray[np.generic]:
        """(h, w, 1 or 3) upright, native byte order, black below white, as :func:`pixel_shape` and :func:`pixel_type`
        have it. Raises ``corrupt_image`` for samples that are no finite numbers."""
        if page.compression == JPEG:
            _check_jpeg_segments(self.data, page, self.limits)
        image = drop_alpha(_samples(page))
        if image.dtype.kind == "f" and not np.isfinite(image).all():
            raise RequestError("corrupt_image", "The scan has samples that are not finite numbers (NaN or infinite).")
        if page.photometric != PALETTE:
            image = image.astype(pixel_type(page), copy=False)
        image = orient(_colours(page, image, self.white_black), orientation(page))
        if image.shape != pixel_shape(page):
            raise RequestError("corrupt_image", "A page of the TIFF has another size than its tags claim.")
        return image
