"""Risk against coverage: answer the surest first, and see how the mean error grows with the share answered.

AURC (Geifman and El-Yaniv, 2019) is the mean over coverages of the mean loss of what is answered; AUGRC (Traub et al.,
NeurIPS 2024) that of the loss of what is answered, divided by all: the risk of an answer that is given and wrong. The
loss is 1 - Dice. Both are 0..1, lower is better; equal scores count as their mean, in whatever order they stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BOOTSTRAPS = 1000


def _ordered(score: NDArray[np.float64], loss: NDArray[np.float64]) -> NDArray[np.float64]:
    """Losses, the surest first, each the mean of those with the same score."""
    _, group = np.unique(-score, return_inverse=True)
    mean = np.bincount(group, loss) / np.bincount(group)
    return np.asarray(mean[np.sort(group)])


def aurc(score: NDArray[np.float64], loss: NDArray[np.float64]) -> float:
    """Of n scores, high for sure, and their losses (n,); NaN for none."""
    losses = _ordered(score, loss)
    return float((np.cumsum(losses) / np.arange(1, len(losses) + 1)).mean()) if len(losses) else float("nan")


def augrc(score: NDArray[np.float64], loss: NDArray[np.float64]) -> float:
    """As :func:`aurc`."""
    losses = _ordered(score, loss)
    return float((np.cumsum(losses) / len(losses)).mean()) if len(losses) else float("nan")


@dataclass(frozen=True)
class Ranked:
    """``aurc``, ``augrc`` and their 95 % intervals over cases drawn with replacement; ``ratio``: of AURC to that of the
    score compared with, and its interval."""

    score: str
    aurc: float
    aurc_interval: tuple[float, float]
    augrc: float
    augrc_interval: tuple[float, float]
    ratio: float
    ratio_interval: tuple[float, float]


def ranked(
    scores: dict[str, NDArray[np.float64]], loss: NDArray[np.float64], case: Sequence[str], against: str
) -> tuple[Ranked, ...]:
    """Every one of ``scores`` (each (n,)) by the same losses; ``against``: the name of the one that others are compared
    with. The same input gives the same intervals."""
    rng = np.random.default_rng(0)
    names = sorted(set(case))
    members = [np.flatnonzero(np.asarray(case) == name) for name in names]
    drawn = [np.concatenate([members[c] for c in rng.integers(0, len(names), len(names))]) for _ in range(BOOTSTRAPS)]
    base = np.array([aurc(scores[against][rows], loss[rows]) for rows in drawn])
    base[base == 0] = np.nan  # such a draw says nothing of the ratio
    found = []
    for name, score in scores.items():
        areas = np.array([aurc(score[rows], loss[rows]) for rows in drawn])
        general = np.array([augrc(score[rows], loss[rows]) for rows in drawn])
        whole = aurc(score, loss)
        found.append(
            Ranked(
                name,
                whole,
                _ends(areas),
                augrc(score, loss),
                _ends(general),
                whole / aurc(scores[against], loss),
                _ends(areas / base),
            )
        )
    return tuple(found)


def _ends(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)
