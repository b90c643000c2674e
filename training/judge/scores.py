"""What is kept of each judged slice: counts and sums from which every figure and interval follows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handler.measure import STEPS
from training.judge.metrics import dice_of, iou_of, reliability, surface_distance_95

# Pixel precision-recall curves are drawn from histograms of this many steps of probability.
CURVE_BINS = 100


@dataclass(frozen=True)
class SliceScore:
    """One slice in its own grid. Counts are pixels; `hd95` in pixels, None where truth or mask is empty.

    `reliability` is (bins, 3) as in `training.judge.metrics.reliability`; `histogram` (2, CURVE_BINS) counts pixels
    without and with tumour by probability; `squared_error` is the sum over pixels of (probability - truth)^2.
    """

    case: str
    number: int
    truth: int
    found: int
    both: int
    pixels: int
    max_probability: float
    hd95: float | None
    squared_error: float
    reliability: NDArray[np.float64]
    histogram: NDArray[np.int64]

    @property
    def has_tumour(self) -> bool:
        return self.truth > 0

    @property
    def dice(self) -> float:
        return dice_of(self.both, self.found, self.truth)

    @property
    def iou(self) -> float:
        return iou_of(self.both, self.found, self.truth)

    @property
    def name(self) -> str:
        return f"{self.case}/{self.number}"


def score_slice(
    case: str, number: int, steps: NDArray[np.uint16], mask: NDArray[np.bool_], truth: NDArray[np.bool_]
) -> SliceScore:
    """Judges one slice: `steps` uint16 (h, w) is the probability in 65535ths and `mask` bool (h, w) what is answered,
    both as served; `truth` bool (h, w). Raises ValueError if their shapes differ."""
    if not steps.shape == mask.shape == truth.shape:
        raise ValueError(f"{case}/{number}: shapes {steps.shape}, {mask.shape}, {truth.shape}; expected equal ones")
    probability = steps.astype(np.float32) / np.float32(STEPS)
    which = np.minimum((probability * CURVE_BINS).astype(int), CURVE_BINS - 1)
    histogram = [np.bincount(which[kind], minlength=CURVE_BINS) for kind in (~truth, truth)]
    return SliceScore(
        case=case,
        number=number,
        truth=int(truth.sum()),
        found=int(mask.sum()),
        both=int((mask & truth).sum()),
        pixels=truth.size,
        max_probability=float(steps.max()) / STEPS,
        hd95=surface_distance_95(mask, truth),
        squared_error=float(((probability - truth) ** 2).sum(dtype=np.float64)),
        reliability=reliability(probability, truth),
        histogram=np.stack(histogram),
    )
