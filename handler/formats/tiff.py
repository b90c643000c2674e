"""TIFF and BigTIFF, one page a slice, by tifffile; LZW, deflate, zstd, PackBits and JPEG compression by imagecodecs."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from handler.errors import RequestError
from handler.formats.ifd import check_ifds, left_out
from handler.formats.raster import Raster, channel_warnings, check_channels
from handler.formats.tiff_axes import arrange, read_axes
from handler.formats.tiff_page import JPEG, PageReader, pixel_shape, pixel_type, sample_type
from handler.intensity import default_range, usable
from handler.limits import Limits
from handler.scan import Warn
from handler.wanted import ask

NAME = "tiff"
MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# TIFF 6.0 codes. Whatever else tifffile could decode stays outside: each codec is a door into the worker.
COMPRESSIONS = {
    1: "none",
    5: "LZW",
    7: "JPEG",
    8: "deflate",
    32773: "PackBits",
    32946: "deflate",
    34926: "zstd",
    50000: "zstd",
}
# Known only to be named in the refusal.
OTHER_COMPRESSIONS = {
    33003: "JPEG 2000",
    33004: "JPEG 2000",
    33005: "JPEG 2000",
    34712: "JPEG 2000",
    34927: "WebP",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
SEPARATE_PLANES = 2
MIN_IS_WHITE, MIN_IS_BLACK, RGB, PALETTE, YCBCR = 0, 1, 2, 3, 6
PHOTOMETRICS = (MIN_IS_WHITE, MIN_IS_BLACK, RGB, PALETTE, YCBCR)
RANGE_TAGS = ((340, 341), (280, 281))  # SMinSampleValue/SMaxSampleValue, then MinSampleValue/MaxSampleValue
TAG_DESCRIPTION = 270
# Blank tiles may share their bytes; a file that is nothing but one strip, read again and again, is a trap.
OVERLAP, OVERRUN = 4, 4096
# Microscopes' dialects, in which tifffile would find pages in other ways than the one that is checked here, are off. As
# attributes of the class: tifffile's own arguments for it fail where a dialect is a property (is_motic, 2026.11.8).
PLAIN: dict[str, Any] = {f"is_{dialect}": False for dialect in tifffile.TIFF.FILE_FLAGS}
PlainTiff: type[tifffile.TiffFile] = type("PlainTiff", (tifffile.TiffFile,), PLAIN)


def matches(data: bytes) -> bool:
    """Whether ``data`` begins like this format."""
    return data[:4] in MAGIC


def _pages(tif: tifffile.TiffFile, limits: Limits) -> dict[int, tifffile.TiffPage]:
    """Number in the file -> page, as far as the limit goes, without those that :func:`left_out` names."""
    pages: dict[int, tifffile.TiffPage] = {}
    for number, page in enumerate(tif.pages):
        if not isinstance(page, tifffile.TiffPage):
            page = page.aspage()
        if left_out(int(page.subfiletype)):
            continue
        limits.check_pages(len(pages) + 1)
        pages[number] = page
    if not pages:
        raise RequestError(
            "corrupt_image", "The TIFF has no page but reduced pictures or masks of others. Send the whole file."
        )
    return pages


def _check_page(page: tifffile.TiffPage) -> None:
    if page.compression not in COMPRESSIONS:
        raise RequestError(
            "unsupported_format",
            f"TIFF compression {OTHER_COMPRESSIONS.get(int(page.compression), int(page.compression))}; expected one of "
            f"{', '.join(sorted(set(COMPRESSIONS.values())))}. Save the scan with one of these.",
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
    default_range(sample_type(page))
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
    pixel_bytes = first.samplesperpixel * sample_type(first).itemsize
    limits.check_decoded(first.imagewidth * first.imagelength * pixel_bytes, len(pages))
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
        if pixel_shape(page) != pixel_shape(first):
            raise RequestError("unsupported_shape", "The pages' orientations differ: a stack must share one size.")
        if page.is_tiled:
            limits.check_geometry(max(page.tilewidth, limits.min_side), max(page.tilelength, limits.min_side))
            limits.check_decoded(page.tilewidth * page.tilelength * pixel_bytes)
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


def _turns_within(page: tifffile.TiffPage, low: float, high: float) -> bool:
    """Whether white-is-zero samples turned round within this range still fit their type; true of all other pages."""
    dtype = sample_type(page)
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


@dataclass(frozen=True, eq=False)
class TiffSource:
    """Slices decoded when asked for. ``file`` keeps the bytes; ``slices``: the pages of each, one or one a channel."""

    file: tifffile.TiffFile
    slices: tuple[tuple[tifffile.TiffPage, ...], ...]
    reader: PageReader

    @property
    def shape(self) -> tuple[int, int, int, int]:
        height, width, channels = pixel_shape(self.slices[0][0])
        return len(self.slices), height, width, channels if len(self.slices[0]) == 1 else len(self.slices[0])

    @property
    def dtype(self) -> np.dtype[np.generic]:
        return pixel_type(self.slices[0][0])

    def _slice(self, index: int) -> NDArray[np.generic]:
        planes = [self.reader.read(page) for page in self.slices[index]]
        return planes[0] if len(planes) == 1 else np.concatenate(planes, axis=-1)

    def pages(self, start: int, stop: int) -> NDArray[np.generic]:
        if stop - start == 1:
            return self._slice(start)[None]
        pixels = np.empty((stop - start, *self.shape[1:]), self.dtype)
        for index in range(start, stop):
            ask()
            pixels[index - start] = self._slice(index)
        return pixels


def _description(page: tifffile.TiffPage) -> str:
    text = page.tags.valueof(TAG_DESCRIPTION, "")
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)


def read(data: bytes, limits: Limits) -> Raster:
    """Slices in the order of the pages, or as the file says. Raises the contract's refusals; any other exception means
    a broken file."""
    check_ifds(data, limits)
    tif = PlainTiff(io.BytesIO(data))
    numbered = _pages(tif, limits)
    pages = list(numbered.values())
    _check_pages(pages, len(data), limits)
    first = pages[0]
    rule = default_range(sample_type(first), first.bitspersample)
    intensity_range, range_warnings = _range(first, rule)
    grey = all(page.photometric in (MIN_IS_WHITE, MIN_IS_BLACK) for page in pages)
    arrangement = arrange(read_axes(_description(tif.pages.first)), list(numbered), first.samplesperpixel, grey)
    slices = tuple(tuple(numbered[number] for number in group) for group in arrangement.slices)
    channels = len(slices[0]) if len(slices[0]) > 1 or first.photometric == PALETTE else first.samplesperpixel
    return Raster(
        TiffSource(tif, slices, PageReader(data, intensity_range, limits)),
        intensity_range,
        channel_warnings(channels if first.photometric != PALETTE else 3) + range_warnings + arrangement.warnings,
    )
