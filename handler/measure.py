"""Probabilities -> mask and measurements, in the grid of the input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from handler.bilinear import bilinear

# Probabilities are kept as 16-bit steps and the threshold is compared with the step. So the 16-bit probability picture
# holds all there is to know: who redraws a mask from it gets the server's mask, pixel for pixel.
STEPS = 65535
EIGHT_NEIGHBOURS = np.ones((3, 3), bool)


@dataclass(frozen=True)
class Part:
    """Of a label or a region on one slice; ``max_probability`` in 0..1."""

    pixels: int
    max_probability: float


@dataclass(frozen=True)
class SliceMeasurement:
    """Of one slice; ``max_probability`` in 0..1. ``labels`` and ``regions`` in the card's order; empty for a mask of
    tumour alone."""

    index: int
    tumor_pixels: int
    total_pixels: int
    max_probability: float
    labels: tuple[Part, ...] = ()
    regions: tuple[Part, ...] = ()

    @property
    def coverage_percent(self) -> float:
        return 100.0 * self.tumor_pixels / self.total_pixels


@dataclass(frozen=True)
class SegmentedSlice:
    """``steps``: uint16 (h, w), probability of tumour * 65535 rounded; ``mask``: bool (h, w). Of several classes
    ``values``: uint8 (h, w), a label's value in the mask and 0 outside; ``by_label``: uint16 (labels, h, w), as
    ``steps``; None for tumour alone."""

    steps: NDArray[np.uint16]
    mask: NDArray[np.bool_]
    measurement: SliceMeasurement
    values: NDArray[np.uint8] | None = None
    by_label: NDArray[np.uint16] | None = None

    @property
    def marked(self) -> NDArray[np.bool_] | NDArray[np.uint8]:
        """The mask as it is written: the labels' values where there are several, else whether there is tumour."""
        return self.mask if self.values is None else self.values


def restore(probability: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """``probability`` (h, w), or several (n, h, w), of the network's grid -> (height, width), the inverse of the squash
    in :func:`handler.preprocess.resize`: bilinear, pixel centres aligned, antialiased when shrinking."""
    if probability.shape[-2:] == (height, width):
        return probability
    if probability.ndim > 2:
        return np.stack([bilinear(one, height, width) for one in probability])
    return bilinear(probability, height, width)


def to_steps(probability: NDArray[np.float32]) -> NDArray[np.uint16]:
    """0..1 -> uint16 steps, rounded to the nearest."""
    steps = np.clip(probability, 0.0, 1.0)
    steps *= np.float32(STEPS)
    return np.rint(steps, out=steps).astype(np.uint16)


def extent(mask: NDArray[np.bool_]) -> tuple[slice, slice] | None:
    """The rows and columns between the first and the last True of ``mask`` (h, w); None where there is none."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not rows.size:
        return None
    between = slice(int(rows[0]), int(rows[-1]) + 1)
    columns = np.flatnonzero(mask[between].any(axis=0))
    return between, slice(int(columns[0]), int(columns[-1]) + 1)


def drop_small(mask: NDArray[np.bool_], smallest: int) -> NDArray[np.bool_]:
    """``mask`` (h, w) without its 8-connected components of fewer than ``smallest`` pixels."""
    box = extent(mask) if smallest > 1 else None
    if box is None:
        return mask
    labels, count = ndimage.label(mask[box], structure=EIGHT_NEIGHBOURS)
    keep = np.bincount(labels.ravel(), minlength=count + 1) >= smallest
    keep[0] = False
    if keep[1:].all():
        return mask
    kept = np.zeros_like(mask)
    kept[box] = keep[labels]
    return kept


def above(steps: NDArray[np.uint16], threshold: float) -> NDArray[np.bool_]:
    """True where the probability is above ``threshold`` (0 < t < 1)."""
    return steps > np.uint16(int(threshold * STEPS))


def mask_of(steps: NDArray[np.uint16], threshold: float, min_lesion_pixels: int) -> NDArray[np.bool_]:
    """True where the probability is above ``threshold`` (0 < t < 1), small components dropped. Per slice, so a slice
    has the same mask in a stack as alone."""
    return drop_small(above(steps, threshold), min_lesion_pixels)


def measure_mask(
    steps: NDArray[np.uint16],
    mask: NDArray[np.bool_],
    index: int,
    values: NDArray[np.uint8] | None = None,
    by_label: NDArray[np.uint16] | None = None,
    labels: tuple[Part, ...] = (),
    regions: tuple[Part, ...] = (),
) -> SegmentedSlice:
    """``steps`` (h, w) as :func:`to_steps` makes them, in the scan's own grid, and their ``mask`` -> measurements. The
    others as :class:`SegmentedSlice` and :class:`SliceMeasurement` have them."""
    tumor, highest = int(np.count_nonzero(mask)), float(steps.max()) / STEPS
    found = SliceMeasurement(index, tumor, steps.size, highest, labels, regions)
    return SegmentedSlice(steps, mask, found, values, by_label)


def measure(
    probability: NDArray[np.float32], index: int, height: int, width: int, threshold: float, min_lesion_pixels: int
) -> SegmentedSlice:
    """``probability`` (h, w), 0..1, of the network's grid -> its mask and measurements on ``height`` x ``width``."""
    steps = to_steps(restore(probability, height, width))
    return measure_mask(steps, mask_of(steps, threshold, min_lesion_pixels), index)
