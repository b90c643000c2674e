"""Calibration and thresholds of a network of several classes, from validation cases only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax

from handler.labels import SOFTMAX, Labelling, Region
from training.judge.metrics import dice_of

Logits = Sequence[NDArray[np.float32]]  # (channels, h, w) each
Masks = Sequence[NDArray[np.uint8]]  # (h, w) each
THRESHOLDS = tuple(round(0.2 + 0.05 * step, 2) for step in range(13))
SCALES = (0.1, 5.0)
TIE = 0.002
# Pixels whose every tumour channel is surely nothing are left out: so many that they alone would set the scale.
_SURE = -6.0


def fit_scale(logits: Logits, masks: Masks, labelling: Labelling) -> float | tuple[float, ...]:
    """The factor of the logits that makes the masks most likely (temperature scaling, Guo et al., ICML 2017), over the
    pixels that are not surely clear. 1 where there is none that has what is fitted.

    Of a sigmoid one a region, each by its own channel. Of a softmax one for all: one a channel would change which is
    the largest, and so the mask, for the sake of a calibration."""
    found = np.concatenate([values.reshape(values.shape[0], -1) for values in logits], axis=1).astype(np.float64)
    truth = np.concatenate([mask.ravel() for mask in masks])
    if labelling.activation != SOFTMAX:
        regions = zip(found, labelling.regions, strict=True)
        return tuple(_fit_region(own, np.isin(truth, region.labels)) for own, region in regions)
    near = (found[1:] - found[:1]).max(axis=0) > _SURE  # by what was said alone: by the truth too would bend the scale
    found, truth = found[:, near], truth[near]
    if not truth.any():
        return 1.0
    return _best(lambda scale: -log_softmax(scale * found, axis=0)[truth, np.arange(len(truth))].mean())


def _fit_region(found: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    near = found > _SURE
    found, truth = found[near], truth[near]
    if not truth.any():
        return 1.0
    signs = np.where(truth, 1, -1)
    return _best(lambda scale: np.logaddexp(0, -signs * scale * found).mean())


def _best(loss: Callable[[float], np.floating[Any]]) -> float:
    return float(minimize_scalar(lambda scale: float(loss(scale)), bounds=SCALES, method="bounded").x)


def choose_regions(
    logits: Logits, masks: Masks, labelling: Labelling, scale: float | Sequence[float]
) -> tuple[Region, ...]:
    """The regions, of a sigmoid each with the threshold of the highest Dice over all pixels; within :data:`TIE` of it
    the one nearest 0.5. A softmax has no thresholds: its regions as they are. ``scale``: as :func:`fit_scale` has it,
    or one for all."""
    if labelling.activation == SOFTMAX:
        return labelling.regions
    chosen = []
    scales = np.broadcast_to(scale, len(labelling.regions))
    for index, region in enumerate(labelling.regions):
        probability = [expit(float(scales[index]) * values[index]) for values in logits]
        truth = [np.isin(mask, region.labels) for mask in masks]
        scores = {t: _dice([values > t for values in probability], truth) for t in THRESHOLDS}
        best = max(scores.values())
        near = [t for t, score in scores.items() if score >= best - TIE]
        chosen.append(replace(region, threshold=min(near, key=lambda t: abs(t - 0.5))))
    return tuple(chosen)


def _dice(found: Sequence[NDArray[np.bool_]], truth: Sequence[NDArray[np.bool_]]) -> float:
    both = sum(int((one & other).sum()) for one, other in zip(found, truth, strict=True))
    return dice_of(both, sum(int(one.sum()) for one in found), sum(int(one.sum()) for one in truth))
