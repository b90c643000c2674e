"""Pictures, drawn with numpy. One table of outputs."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import tifffile
from numpy.typing import NDArray

from handler.encode import png
from handler.errors import RequestError
from handler.intensity import to_unit
from handler.limits import Limits
from handler.measure import SegmentedSlice, extent

BAND = 256  # rows
# 0..255 -> half way to red, rounded down, for each channel.
REDDENED = [((np.arange(256) + colour) // 2).astype(np.uint8) for colour in (255, 0, 0)]
# Probability 0, 1/4, ... 1: dark to bright, so that it also reads in grey and for the colour-blind.
HEAT_STOPS = ((0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164))
_POSITIONS = np.linspace(0, 1, len(HEAT_STOPS))
HEAT = np.stack(
    [np.interp(np.linspace(0, 1, 256), _POSITIONS, [stop[c] for stop in HEAT_STOPS]) for c in range(3)], axis=-1
).astype(np.uint8)


@dataclass(frozen=True)
class View:
    """What the pictures of a slice are drawn from. ``scan``: uint8 (h, w, 3)."""

    scan: NDArray[np.uint8]
    segmented: SegmentedSlice


NO_SCAN = np.empty((0, 0, 3), np.uint8)  # for a view of which only the mask is drawn


def to_uint8(page: NDArray[np.generic], intensity_range: Sequence[float]) -> NDArray[np.uint8]:
    """``page`` (h, w, 1 or 3) of any real dtype -> (h, w, 3), the range mapped to 0..255, clipped and rounded; not to
    be written to. In bands of rows: as float32 a page of 4096 x 4096 would take 200 MB."""
    shape = (*page.shape[:2], 3)
    if page.dtype == np.uint8 and tuple(intensity_range) == (0.0, 255.0):
        return np.broadcast_to(page.astype(np.uint8, copy=False), shape)
    drawn = np.empty(shape, np.uint8)
    for top in range(0, len(page), BAND):
        unit = to_unit(page[top : top + BAND], intensity_range)
        unit *= np.float32(255)
        unit += np.float32(0.5)
        drawn[top : top + BAND] = unit.astype(np.uint8)
    return drawn


def draw_mask(view: View) -> NDArray[np.uint8]:
    """(h, w), 255 where there is tumour."""
    return view.segmented.mask.astype(np.uint8) * np.uint8(255)


def _redden(picture: NDArray[np.uint8], mask: NDArray[np.bool_]) -> None:
    """Makes ``picture`` (h, w, 3) half red inside ``mask``."""
    box = extent(mask)
    if box is None:
        return
    inside = mask[box]
    for channel, reddened in enumerate(REDDENED):
        plane = picture[box][..., channel]
        np.copyto(plane, reddened[plane], where=inside)


def draw_overlay(view: View) -> NDArray[np.uint8]:
    """The scan, half red where there is tumour."""
    overlay = view.scan.copy()
    _redden(overlay, view.segmented.mask)
    return overlay


def draw_panel(view: View) -> NDArray[np.uint8]:
    """Scan, mask and overlay side by side: (h, 3 w, 3)."""
    height, width = view.segmented.mask.shape
    panel = np.empty((height, 3 * width, 3), np.uint8)
    scan, mask, overlay = (panel[:, place * width : (place + 1) * width] for place in range(3))
    scan[:], mask[:], overlay[:] = view.scan, draw_mask(view)[..., None], view.scan
    _redden(overlay, view.segmented.mask)
    return panel


def draw_heatmap(view: View) -> NDArray[np.uint8]:
    """The probability in colours, (h, w, 3)."""
    return HEAT.take(view.segmented.steps >> 8, axis=0)


@dataclass(frozen=True)
class Output:
    """``bytes_per_pixel``: about what a PNG of it takes on LGG slices of 256 x 256 (mean of 48 slices: scan and overlay
    1.36, mask 0.009, heatmap 0.29, panel 1.60, probability 1.10). An estimate to refuse by before the network runs; the
    answer's true size is checked as it grows."""

    encode: Callable[[View], bytes]
    bytes_per_pixel: float


OUTPUTS: dict[str, Output] = {
    "scan": Output(lambda view: png(view.scan), 1.6),
    "mask": Output(lambda view: png(draw_mask(view)), 0.02),
    "overlay": Output(lambda view: png(draw_overlay(view)), 1.6),
    "heatmap": Output(lambda view: png(draw_heatmap(view)), 0.5),
    "panel": Output(lambda view: png(draw_panel(view)), 3.2),
    "probability": Output(lambda view: png(view.segmented.steps), 1.0),
}
BASE64 = 4 / 3
JSON_BYTES_PER_SLICE = 200
# A slice has about as much to show however finely it is sampled: overlays of LGG slices brought from 256 x 256 to 512,
# 1024, 2048 and 4096 take 1.01, 0.64, 0.36 and 0.24 bytes a pixel (bicubic, mean), a power of -0.3 of the pixels.
MEASURED_PIXELS, DETAIL = 256 * 256, 0.3


def check_answer_size(pixels: int, slices: int, outputs: Sequence[str], limits: Limits) -> None:
    """Raises ``response_too_large`` when pictures of ``slices`` slices, ``pixels`` pixels each, would not fit."""
    finer = min(1.0, (MEASURED_PIXELS / pixels) ** DETAIL)
    per_pixel = BASE64 * finer * sum(OUTPUTS[name].bytes_per_pixel for name in outputs)
    estimate = slices * (JSON_BYTES_PER_SLICE + pixels * per_pixel)
    if estimate > limits.answer_bytes:
        raise RequestError(
            "response_too_large",
            f"{','.join(outputs)} of {slices} slices would take about {estimate / 2**20:.0f} MiB; at most "
            f"{limits.answer_bytes / 2**20:.0f} are given. Ask for fewer outputs, or for slices in several requests.",
        )


def tiff(masks: Sequence[NDArray[np.uint8]]) -> bytes:
    """uint8 masks (h, w), 0 or 255, as a deflate-compressed TIFF, a page a slice."""
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        for mask in masks:
            writer.write(mask, photometric="minisblack", compression="zlib", metadata=None, contiguous=False)
    return buffer.getvalue()
