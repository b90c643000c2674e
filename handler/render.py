"""Pictures, drawn with numpy. One table of outputs."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Iterator, Sequence
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
Colour = tuple[int, int, int]
RED = (255, 0, 0)  # of tumour where there are no labels
# Probability 0, 1/4, ... 1: dark to bright, so that it also reads in grey and for the colour-blind.
HEAT_STOPS = ((0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164))
_POSITIONS = np.linspace(0, 1, len(HEAT_STOPS))
HEAT = np.stack(
    [np.interp(np.linspace(0, 1, 256), _POSITIONS, [stop[c] for stop in HEAT_STOPS]) for c in range(3)], axis=-1
).astype(np.uint8)


@dataclass(frozen=True)
class View:
    """What the pictures of a slice are drawn from. ``scan``: uint8 (h, w, 3). ``colours``: of the labels 1, 2, ...,
    empty for a mask of tumour alone."""

    scan: NDArray[np.uint8]
    segmented: SegmentedSlice
    colours: Sequence[Colour] = ()

    def marked(self) -> Iterator[tuple[NDArray[np.bool_], Colour]]:
        """Where the mask has what, bool (h, w), and its colour."""
        values = self.segmented.values
        if values is None:
            yield self.segmented.mask, RED
            return
        for value, colour in enumerate(self.colours, 1):
            yield values == value, colour


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


def mask_picture(mask: NDArray[np.bool_] | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8, 255 where a mask of tumour alone is True; the values of a mask of labels as they are."""
    return mask.astype(np.uint8) * np.uint8(255) if mask.dtype == np.bool_ else mask.astype(np.uint8, copy=False)


def draw_mask(view: View) -> NDArray[np.uint8]:
    """(h, w), 255 where there is tumour; of several classes the labels' values."""
    return mask_picture(view.segmented.marked)


@functools.cache
def _halfway(colour: Colour) -> list[NDArray[np.uint8]]:
    """0..255 -> half way to ``colour``, rounded down, for each channel."""
    return [((np.arange(256) + part) // 2).astype(np.uint8) for part in colour]


def _tint(picture: NDArray[np.uint8], mask: NDArray[np.bool_], colour: Colour) -> None:
    """Makes ``picture`` (h, w, 3) half ``colour`` inside ``mask``."""
    box = extent(mask)
    if box is None:
        return
    inside = mask[box]
    for channel, tinted in enumerate(_halfway(colour)):
        plane = picture[box][..., channel]
        np.copyto(plane, tinted[plane], where=inside)


def _paint(picture: NDArray[np.uint8], view: View) -> None:
    for mask, colour in view.marked():
        _tint(picture, mask, colour)


def draw_overlay(view: View) -> NDArray[np.uint8]:
    """The scan, half red where there is tumour; of several classes half their colours."""
    overlay = view.scan.copy()
    _paint(overlay, view)
    return overlay


def _colour_mask(view: View) -> NDArray[np.uint8]:
    """The mask to be looked at, (h, w, 3): white, or the labels' colours."""
    if view.segmented.values is None:
        return np.broadcast_to(draw_mask(view)[..., None], view.scan.shape)
    table = np.zeros((len(view.colours) + 1, 3), np.uint8)
    table[1:] = view.colours
    return table[view.segmented.values]


def draw_panel(view: View) -> NDArray[np.uint8]:
    """Scan, mask and overlay side by side: (h, 3 w, 3); of several classes in their colours."""
    height, width = view.segmented.mask.shape
    panel = np.empty((height, 3 * width, 3), np.uint8)
    scan, mask, overlay = (panel[:, place * width : (place + 1) * width] for place in range(3))
    scan[:], mask[:], overlay[:] = view.scan, _colour_mask(view), view.scan
    _paint(overlay, view)
    return panel


def draw_heatmap(view: View) -> NDArray[np.uint8]:
    """The probability in colours, (h, w, 3)."""
    return HEAT.take(view.segmented.steps >> 8, axis=0)


BY_LABEL = "label_probabilities"  # of a model with labels only


def draw_by_label(view: View) -> NDArray[np.uint16]:
    """The probability of each label * 65535, in the order of their values one below the other: (labels * h, w)."""
    found = view.segmented.by_label
    if found is None:
        raise ValueError("probabilities by label of a mask without labels")
    return found.reshape(-1, found.shape[-1])


@dataclass(frozen=True)
class Output:
    """``bytes_per_pixel``: about what a PNG of it takes on LGG slices of 256 x 256 (mean of 48 slices: scan and overlay
    1.36, mask 0.009, heatmap 0.29, panel 1.60, probability 1.10); by label, of each. An estimate to refuse by before
    the network runs; the answer's true size is checked as it grows."""

    encode: Callable[[View], bytes]
    bytes_per_pixel: float


OUTPUTS: dict[str, Output] = {
    "scan": Output(lambda view: png(view.scan), 1.6),
    "mask": Output(lambda view: png(draw_mask(view)), 0.02),
    "overlay": Output(lambda view: png(draw_overlay(view)), 1.6),
    "heatmap": Output(lambda view: png(draw_heatmap(view)), 0.5),
    "panel": Output(lambda view: png(draw_panel(view)), 3.2),
    "probability": Output(lambda view: png(view.segmented.steps), 1.0),
    BY_LABEL: Output(lambda view: png(draw_by_label(view)), 1.0),
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
    """uint8 masks (h, w) as :func:`mask_picture` makes them, as a deflate-compressed TIFF, a page a slice."""
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        for mask in masks:
            writer.write(mask, photometric="minisblack", compression="zlib", metadata=None, contiguous=False)
    return buffer.getvalue()
