"""TIFF and BigTIFF, one page a slice, by tifffile; LZW, deflate, PackBits and JPEG compression by imagecodecs."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from handler.errors import RequestError
from handler.formats.ifd import check_ifds
from handler.formats.jpeg import check_scans, frame_size
from handler.formats.raster import Raster, channel_warnings, check_channels, drop_alpha, orient
from handler.intensity import default_range, usable
from handler.limits import Limits
from handler.scan import ArraySource, Warn

NAME = "tiff"
MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# TIFF 6.0 codes. Whatever else tifffile could decode stays outside: each codec is a door into the worker.
COMPRESSIONS = {1: "none", 5: "LZW", 7: "JPEG", 8: "deflate", 32773: "PackBits", 32946: "deflate"}
JPEG = 7
SEPARATE_PLANES = 2
MIN_IS_WHITE, MIN_IS_BLACK, RGB, PALETTE, YCBCR = 0, 1, 2, 3, 6
PHOTOMETRICS = (MIN_IS_WHITE, MIN_IS_BLACK, RGB, PALETTE, YCBCR)
RANGE_TAGS = ((340, 341), (280, 281))  # SMinSampleValue/SMaxSampleValue, then MinSampleValue/MaxSampleValue
TAG_ORIENTATION = 274
# Blank tiles may share their bytes; a file that is nothing but one strip, read again and again, is a trap.
OVERLAP, OVERRUN = 4, 4096
# Microscopes' dialects, in which tifffile would find pages in other ways than the one that is checked here, are off. As
# attributes of the class: tifffile's own arguments for it fail where a dialect is a property (is_motic, 2026.11.8).
PLAIN: dict[str, Any] = {f"is_{dialect}": False for dialect in tifffile.TIFF.FILE_FLAGS}
PlainTiff: type[tifffile.TiffFile] = type("PlainTiff", (tifffile.TiffFile,), PLAIN)


def matches(data: bytes) -> bool:
    """Whether ``data`` begins like this format."""
    return data[:4] in MAGIC


def _pages(tif: tifffile.TiffFile, limits: Limits) -> list[tifffile.TiffPage]:
    """All pages, as far as the limit goes; a stack without end is refused at the first page too many."""
    pages: list[tifffile.TiffPage] = []
    for page in tif.pages:
        limits.check_pages(len(pages) + 1)
        if not isinstance(page, tifffile.TiffPage):
            page = page.aspage()
        pages.append(page)
    if not pages:
        raise RequestError("corrupt_image", "The TIFF has no page.")
    return pages


def _sample_type(page: tifffile.TiffPage) -> np.dtype[np.generic]:
    """The dtype of the decoded samples; 1-bit ones become uint8."""
    return np.dtype(np.uint8) if page.dtype is None or page.dtype.kind == "b" else np.dtype(page.dtype)


def _check_page(page: tifffile.TiffPage) -> None:
    if page.compression not in COMPRESSIONS:
        raise RequestError(
            "unsupported_format",
            f"TIFF compression {int(page.compression)}; expected one of {sorted(set(COMPRESSIONS.values()))}.",
        )
    if page.photometric not in PHOTOMETRICS:
        raise RequestError(
            "unsupported_shape",
            f"TIFF colours {int(page.photometric)}; expected grey, RGB or palette. Convert the scan.",
        )
    if page.photometric == YCBCR and page.compression != JPEG:
        raise RequestError("unsupported_shape", "TIFF colours YCbCr without JPEG compression; save it as RGB.")
    if page.imagedepth != 1:
        raise RequestError("unsupported_shape", "The TIFF has volumetric tiles; send one page a slice.")
    if page.dtype is None:
        raise RequestError(
            "unsupported_format", f"TIFF samples of {page.bitspersample} bits; expected 1 to 16 bits or float."
        )
    default_range(_sample_type(page))
    check_channels(page.samplesperpixel)


def _segments(page: tifffile.TiffPage) -> int:
    """How many strips or tiles make up ``page`` by its size, whatever number of them it lists."""
    planes = page.samplesperpixel if page.planarconfig == SEPARATE_PLANES else 1
    if page.is_tiled:
        return planes * math.ceil(page.imagewidth / page.tilewidth) * math.ceil(page.imagelength / page.tilelength)
    return planes * math.ceil(page.imagelength / page.rowsperstrip)


def _check_pages(pages: list[tifffile.TiffPage], size: int, limits: Limits) -> None:
    """``size``: that of the file in bytes."""
    first = pages[0]
    limits.check_geometry(first.imagewidth, first.imagelength, len(pages))
    segments = claimed = 0
    for number, page in enumerate(pages):
        _check_page(page)
        kind = (page.imagewidth, page.imagelength, page.samplesperpixel, page.dtype, page.bitspersample)
        if kind != (first.imagewidth, first.imagelength, first.samplesperpixel, first.dtype, first.bitspersample):
            raise RequestError(
                "unsupported_shape",
                f"Page {number} is {page.imagewidth} x {page.imagelength} x {page.samplesperpixel} {page.dtype}, "
                f"page 0 is {first.imagewidth} x {first.imagelength} x {first.samplesperpixel} {first.dtype}: "
                "the pages of a stack must share one size and sample type.",
            )
        if page.is_tiled:
            limits.check_geometry(max(page.tilewidth, limits.min_side), max(page.tilelength, limits.min_side))
        segments += max(len(page.dataoffsets), _segments(page))
        claimed += sum(min(count, size) for count in page.databytecounts)
    if segments > limits.segments:
        raise RequestError(
            "too_large",
            f"The TIFF has {segments} strips or tiles; at most {limits.segments} are taken. Use larger ones.",
        )
    if any(len(page.dataoffsets) < _segments(page) for page in pages):
        raise RequestError("corrupt_image", "A page of the TIFF lacks some of its strips or tiles.")
    if claimed > OVERLAP * size + segments * OVERRUN:
        raise RequestError("corrupt_image", f"The strips or tiles claim {claimed} bytes of a file of {size}.")


def _check_jpeg_segments(data: bytes, page: tifffile.TiffPage, limits: Limits) -> None:
    """A JPEG strip carries a size of its own, which the decoder obeys: it must not exceed what the page claims."""
    bounds = (page.tilewidth, page.tilelength) if page.is_tiled else (page.imagewidth, page.imagelength)
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False):
        segment = data[offset : offset + count]
        check_scans(segment, limits)
        size = frame_size(segment)
        if size is None or size[0] > bounds[0] or size[1] > bounds[1]:
            raise RequestError("corrupt_image", f"A JPEG strip of the TIFF claims {size} pixels, its page {bounds}.")


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
        white, black = white_black
        # float64: what lies outside the range would wrap round in an integer type.
        turned = white + black - np.clip(image.astype(np.float64), white, black)
        return (turned if image.dtype.kind == "f" else np.rint(turned)).astype(image.dtype)
    return image


def _read_page(page: tifffile.TiffPage, white_black: tuple[float, float]) -> NDArray[np.generic]:
    """(h, w, 1 or 3) upright, native byte order, black below white."""
    planes, _, height, width, samples = page.shaped
    image = page.asarray(maxworkers=1).reshape(planes, height, width, samples)
    image = image[0] if planes == 1 else image[..., 0].transpose(1, 2, 0)
    if image.dtype.kind == "b":
        image = image.astype(np.uint8)
    image = image.astype(np.float32 if image.dtype.kind == "f" else image.dtype.newbyteorder("="), copy=False)
    orientation = page.tags.valueof(TAG_ORIENTATION, 1)
    return orient(_colours(page, drop_alpha(image), white_black), int(orientation))


def _read_pages(
    data: bytes, pages: list[tifffile.TiffPage], white_black: tuple[float, float], limits: Limits
) -> NDArray[np.generic]:
    """(pages, h, w, 1 or 3), filled page by page so that a stack is in memory once."""
    pixels: NDArray[np.generic] | None = None
    for number, page in enumerate(pages):
        if page.compression == JPEG:
            _check_jpeg_segments(data, page, limits)
        image = _read_page(page, white_black)
        if pixels is None:
            pixels = np.empty((len(pages), *image.shape), image.dtype)
        if image.shape != pixels.shape[1:]:
            raise RequestError("unsupported_shape", "The pages' orientations differ: a stack must share one size.")
        pixels[number] = image
    assert pixels is not None  # noqa: S101 - _pages refuses a file without pages
    return pixels


def _turns_within(page: tifffile.TiffPage, low: float, high: float) -> bool:
    """Whether white-is-zero samples turned round within this range still fit their type; true of all other pages."""
    dtype = _sample_type(page)
    if page.photometric != MIN_IS_WHITE or dtype.kind == "f":
        return True
    signed = dtype.kind == "i"
    top = 2 ** (8 * dtype.itemsize - signed)
    return (-top if signed else 0) <= low and high <= top - 1


def _range(page: tifffile.TiffPage, rule: tuple[float, float]) -> tuple[tuple[float, float], tuple[Warn, ...]]:
    """The intensity range of the samples: the file's own tags, else ``rule``, that of the sample type and bits."""
    if page.photometric == PALETTE:
        return (0.0, 255.0), ()
    for low_tag, high_tag in RANGE_TAGS:
        if low_tag not in page.tags and high_tag not in page.tags:
            continue
        low = np.min(np.asarray(page.tags.valueof(low_tag, rule[0]), np.float64))
        high = np.max(np.asarray(page.tags.valueof(high_tag, rule[1]), np.float64))
        if usable(low, high) and _turns_within(page, low, high):
            return (float(low), float(high)), ()
        return rule, (Warn("range_tags_ignored", "the file's smallest and largest sample values make no range"),)
    return rule, ()


def read(data: bytes, limits: Limits) -> Raster:
    """Slices in the order of the pages. Raises the contract's refusals; any other exception means a broken file."""
    check_ifds(data, limits)
    with PlainTiff(io.BytesIO(data)) as tif:
        pages = _pages(tif, limits)
        _check_pages(pages, len(data), limits)
        first = pages[0]
        rule = default_range(_sample_type(first), first.bitspersample)
        intensity_range, range_warnings = _range(first, rule)
        pixels = _read_pages(data, pages, intensity_range, limits)
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise RequestError("corrupt_image", "The scan has samples that are not finite numbers (NaN or infinite).")
    return Raster(
        ArraySource(pixels),
        intensity_range,
        channel_warnings(first.samplesperpixel if first.photometric != PALETTE else 3) + range_warnings,
    )
