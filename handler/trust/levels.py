"""How many pixels there are of each probability: all that the expected quality is computed from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

BINS = 256
BIN_STEPS = 65536 // BINS
# In the two lowest bins lies the air, and the sum over a whole picture of what the network is sure of would be noise.
_PROBABILITY = (np.arange(BINS) + 0.5) / BINS
_COUNTED = np.where(np.arange(BINS) < 2, 0.0, _PROBABILITY)


@dataclass(frozen=True, eq=False)
class Levels:
    """Of a slice or a scan: ``pixels`` and, of those, ``found``, which are in the mask; int64 (:data:`BINS`,), by
    probability, bin ``i`` from ``i / BINS`` on. ``found`` may be empty while pixels are above the threshold: small
    components are dropped."""

    pixels: NDArray[np.int64]
    found: NDArray[np.int64]

    @cached_property
    def total(self) -> int:
        return int(self.pixels.sum())

    @cached_property
    def area(self) -> int:
        """Pixels in the mask."""
        return int(self.found.sum())

    @property
    def largest(self) -> float:
        """The largest probability, the middle of its bin."""
        return float(_PROBABILITY[np.flatnonzero(self.pixels)[-1]])

    def above(self, probability: float) -> float:
        """Pixels of at least ``probability``, 0..1; within a bin as if they were spread evenly."""
        edge = probability * BINS
        whole = min(int(edge), BINS - 1)
        return float(self.pixels[whole + 1 :].sum() + self.pixels[whole] * (whole + 1 - edge))

    @property
    def expected_overlap(self) -> float:
        """2 E|A and B| / (|A| + E|B|) of the mask A and the unknown truth B, each pixel of which is tumour with its
        probability: the Dice to be expected, up to the covariance of numerator and denominator, where a mask is not
        empty. 0..1."""
        expected = float(_COUNTED @ self.pixels)
        size = self.area + expected
        return 2.0 * float(_COUNTED @ self.found) / size if size else 0.0


def levels_of(steps: NDArray[np.uint16], mask: NDArray[np.bool_]) -> Levels:
    """``steps``: uint16 (h, w), probability * 65535; ``mask``: bool (h, w)."""
    # Nearly all of a picture is in the lowest bin, which is what is left when the others have been counted.
    flat = steps.ravel()
    shown = np.flatnonzero(flat >= BIN_STEPS)
    bins = flat[shown] // np.uint16(BIN_STEPS)
    pixels = np.bincount(bins, minlength=BINS)
    found = np.bincount(bins[mask.ravel()[shown]], minlength=BINS)
    pixels[0] = flat.size - shown.size
    found[0] = np.count_nonzero(mask) - found.sum()
    return Levels(pixels, found)


def together(slices: Iterable[Levels]) -> Levels:
    """Of several slices as one; raises ``ValueError`` for none."""
    several = list(slices)
    if not several:
        raise ValueError("levels of no slice")
    return Levels(np.sum([s.pixels for s in several], axis=0), np.sum([s.found for s in several], axis=0))
