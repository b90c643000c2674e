"""The metrics, as pure functions of masks and probabilities; what an undefined case scores is said at each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]

# Probabilities outside this open range are air and clear tissue: counting them would flatter any calibration.
UNSURE = (0.05, 0.95)
RELIABILITY_BINS = 15


def dice_of(both: float, found: float, truth: float) -> float:
    """2 |A and B| / (|A| + |B|) from pixel counts (Dice, 1945). Both empty: 1, nothing was to find and nothing was."""
    return 1.0 if found + truth == 0 else 2.0 * both / (found + truth)


def iou_of(both: float, found: float, truth: float) -> float:
    """|A and B| / |A or B| from pixel counts (Jaccard, 1912). Both empty: 1."""
    union = found + truth - both
    return 1.0 if union == 0 else both / union


def surface_distance_95(found: Mask, truth: Mask) -> float | None:
    """HD95 in pixels between the outlines of two masks (h, w): the 95th percentile of the distances from each outline
    pixel of either to the nearest outline pixel of the other, both directions pooled. None if a mask is empty."""
    if not found.any() or not truth.any():
        return None
    one, other = _outline(found), _outline(truth)
    to_other = ndimage.distance_transform_edt(~other)[one]
    to_one = ndimage.distance_transform_edt(~one)[other]
    return float(np.percentile(np.concatenate([to_other, to_one]), 95))


def _outline(mask: Mask) -> Mask:
    """Pixels of `mask` with one of their four neighbours, or the edge of the picture, outside it."""
    return mask & ~ndimage.binary_erosion(mask)


def roc_auc(scores: NDArray[np.floating], positive: Mask) -> float:
    """Probability that a positive scores above a negative, ties half (Mann-Whitney U); NaN if one kind is missing."""
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return float("nan")
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]  # of equal ones the mean
    return float((ranks[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def reliability(probability: NDArray[np.floating], truth: Mask) -> NDArray[np.float64]:
    """Sums for a reliability diagram over the pixels that are unsure: float64 (bins, 3) with the number of pixels, the
    sum of their probabilities, and how many are tumour. Bins are of equal width over `UNSURE`. Sums of parts add up."""
    low, high = UNSURE
    unsure = (probability > low) & (probability < high)
    p, y = probability[unsure].astype(np.float64), truth[unsure]
    which = np.minimum(((p - low) / (high - low) * RELIABILITY_BINS).astype(int), RELIABILITY_BINS - 1)
    sums = [np.bincount(which, weights=w, minlength=RELIABILITY_BINS) for w in (np.ones_like(p), p, y.astype(float))]
    return np.stack(sums, axis=1)


def expected_calibration_error(sums: NDArray[np.float64]) -> float:
    """Mean over unsure pixels of |mean probability - share of tumour| of their bin (Naeini et al., AAAI 2015), from the
    sums of `reliability`; NaN without a pixel."""
    pixels, probability, tumour = sums.T
    return float(np.abs(probability - tumour).sum() / pixels.sum()) if pixels.sum() else float("nan")


def brier_skill(squared_error: float, tumour: float, pixels: float) -> float:
    """1 - Brier score / that of always saying the prevalence (Brier, 1950), from sums over pixels; 1 is perfect,
    0 no better than the prevalence, NaN where the prevalence is 0 or 1."""
    prevalence = tumour / pixels if pixels else 0.0
    reference = prevalence * (1 - prevalence)
    return 1 - squared_error / pixels / reference if reference > 0 else float("nan")
