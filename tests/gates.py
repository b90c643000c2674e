"""Gates whose word is known: by one fact, or by none."""

from __future__ import annotations

import numpy as np

from handler.trust.facts import CELLS, COUNT, INSIDE
from handler.trust.gate import CLASSES, Gate

T1_MEAN = CELLS * CELLS * 3 + 2 * INSIDE + 8 + 15 + 3  # the fact: how bright the head is in the first channel


def by_t1(cut: float = 0.5, reason: str = "other_contrast", share: float = 0.5) -> Gate:
    """Accepts slices whose head, in the first channel, is darker than ``cut``, 0..1."""
    hidden = np.zeros((COUNT, 2), np.float32)
    hidden[T1_MEAN] = (40, -40)
    out = np.full((2, len(CLASSES)), 0, np.float32)
    out[0, CLASSES.index(reason)], out[1, 0] = 1, 1
    bias = np.full(len(CLASSES), -20, np.float32)
    bias[[0, CLASSES.index(reason)]] = 0
    mean = np.zeros(COUNT, np.float32)
    mean[T1_MEAN] = cut
    axes = np.zeros((COUNT, 1), np.float32)
    ones = np.ones(COUNT, np.float32)
    return Gate(
        mean, ones, hidden, np.zeros(2, np.float32), out, bias, axes, np.ones(1, np.float32), (1e9, 1e9), 0.5, share
    )
