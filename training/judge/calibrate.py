"""Chooses calibration, threshold and smallest lesion. Give it validation cases only: never those that will judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from handler.card import Calibration
from handler.compose import calibrated
from handler.measure import mask_of, restore, to_steps
from training.data.slices import LabelledSlice
from training.judge.figures import case_dice

# Coarse on purpose: nine cases cannot tell 0.47 from 0.5.
THRESHOLDS = tuple(round(0.2 + 0.05 * step, 2) for step in range(13))
SMALLEST_LESIONS = (0, 5, 10, 20, 40)
TIE = 0.002
# Calibrated logits beyond this (probabilities below 0.05 or above 0.95) are decided and not judged by the calibration
# error either. With them, the many pixels of clear background would bend the line away from the edge that is judged.
_UNDECIDED = 3.0
# Logits as the network gives them, beyond which no pixel is undecided after a scale of 0.05; counted in bins of 0.005.
_LARGEST = 60.0
_BINS = 24_000
_ROUNDS = 50


@dataclass(frozen=True)
class Choice:
    """A threshold (0..1) and smallest lesion (pixels) with what they score on the validation cases, and their mean Dice
    per tumour slice there (both 0..1; None: no slice has tumour)."""

    threshold: float
    min_lesion_pixels: int
    score: float
    dice: float | None


def fit_calibration(logits: Sequence[NDArray[np.float32]], masks: Sequence[NDArray[np.bool_]]) -> Calibration:
    """Scale and offset of the logit that make the masks most likely (Platt, 1999), over the pixels that are undecided.

    Which pixels those are depends on the answer, |scale * logit + offset| < 3, so fit follows fit, from the identity
    on, until they settle. Logits and masks are (h, w) on the same grid. Without both kinds of pixel: the identity.
    """
    edges = np.linspace(-_LARGEST, _LARGEST, _BINS + 1)
    tumour, clear = np.zeros(_BINS), np.zeros(_BINS)
    for values, mask in zip(logits, masks, strict=True):
        tumour += np.histogram(values[mask], edges)[0]
        clear += np.histogram(values[~mask], edges)[0]
    centres = (edges[:-1] + edges[1:]) / 2
    found = np.array([1.0, 0.0])
    for _ in range(_ROUNDS):
        near = np.abs(found[0] * centres + found[1]) < _UNDECIDED
        if not tumour[near].any() or not clear[near].any():
            return Calibration()
        before, found = found, _platt(centres[near], tumour[near], clear[near], found)
        if np.abs(found - before).max() < 1e-3:
            break
    return Calibration(scale=float(found[0]), offset=float(found[1]))


def _platt(
    centres: NDArray[np.float64],
    tumour: NDArray[np.float64],
    clear: NDArray[np.float64],
    start: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The most likely (scale, offset) for counts of tumour and clear pixels at logits `centres`."""
    total = tumour.sum() + clear.sum()

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        z = parameters[0] * centres + parameters[1]
        value = (tumour * np.logaddexp(0, -z) + clear * np.logaddexp(0, z)).sum() / total
        slope = ((tumour + clear) * expit(z) - tumour) / total
        return float(value), np.array([(slope * centres).sum(), slope.sum()])

    # A scale at or below zero would turn the ranking round; the network's ranking is the one thing not in question.
    found: NDArray[np.float64] = minimize(loss, start, jac=True, bounds=[(0.05, 20), (-20, 20)]).x
    return found


def choose(
    logits: Sequence[NDArray[np.float32]], slices: Sequence[LabelledSlice], calibration: Calibration
) -> tuple[Choice, ...]:
    """Every combination of `THRESHOLDS` and `SMALLEST_LESIONS`, the one to take first.

    Those within `TIE` of the best score count as equal, for a rare pixel's worth on a few cases is chance. Of them the
    threshold nearest half the Dice of the best is taken, then the smallest lesion: on calibrated probabilities, half
    the best Dice is the threshold that reaches it (Lipton, Elkan and Naryanaswamy, ECML 2014, for F1, which Dice is).
    The others follow by score.

    The score is the mean of three figures: Dice per tumour slice, Dice per case, and balanced accuracy of "slice has
    tumour", so that neither small lesions nor false alarms are paid for by the other.
    """
    steps = [
        to_steps(restore(calibrated(values, calibration), item.scan.height, item.scan.width))
        for values, item in zip(logits, slices, strict=True)
    ]
    names = sorted({item.pair.case for item in slices})
    case = np.array([names.index(item.pair.case) for item in slices])
    choices = []
    for threshold in THRESHOLDS:
        for smallest in SMALLEST_LESIONS:
            masks = [mask_of(one, threshold, smallest) for one in steps]
            counts = np.array([_counts(mask, item.mask) for mask, item in zip(masks, slices, strict=True)])
            choices.append(Choice(threshold, smallest, objective(case, counts), slice_dice(counts)))
    best = max(choices, key=lambda choice: choice.score)
    return tuple(sorted(choices, key=lambda choice: _preference(choice, best)))


def _preference(choice: Choice, best: Choice) -> tuple[float, float, int]:
    expected = 0.5 if best.dice is None else best.dice / 2
    score = best.score if choice.score >= best.score - TIE else choice.score
    return -score, abs(choice.threshold - expected), choice.min_lesion_pixels


def _counts(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> tuple[int, int, int]:
    return int((found & truth).sum()), int(found.sum()), int(truth.sum())


def objective(case: NDArray[np.int64], counts: NDArray[np.int64]) -> float:
    """The mean named in `choose`, 0..1, from case numbers (n,) and pixel counts (n, 3); undefined figures left out."""
    found, truth = counts[:, 1], counts[:, 2]
    tumour = truth > 0
    parts = [float(case_dice(case, counts).mean())]
    dice = slice_dice(counts)
    if dice is not None:
        parts.append(dice)
    if tumour.any() and not tumour.all():
        parts.append(float(((found > 0)[tumour].mean() + (found == 0)[~tumour].mean()) / 2))
    return sum(parts) / len(parts)


def slice_dice(counts: NDArray[np.int64]) -> float | None:
    """Mean Dice over slices with tumour from pixel counts in both, found and in truth (n, 3); None without tumour."""
    both, found, truth = counts[counts[:, 2] > 0].astype(np.float64).T
    return float((2 * both / (found + truth)).mean()) if len(truth) else None
