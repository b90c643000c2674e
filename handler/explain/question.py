"""What is asked of a slice's probabilities, as one number that a picture can move up or down."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit, logsumexp

# The soft maximum lies above the largest log-odds by ln(pixels) / SHARPNESS at most, 1.4 on 256 x 256. Sharper, it
# would be one pixel's alone; softer, it would grow with the area.
SHARPNESS = 8.0
NEAREST = 1e-7  # to 0 and 1: float32 knows no probability between
UNITS = {"verdict": "log-odds of the largest probability (soft maximum)", "area": "pixels of the network's grid"}
Array = NDArray[np.float32]


def scores(question: str, probabilities: Array, region: NDArray[np.bool_]) -> NDArray[np.float64]:
    """``probabilities`` (n, h, w) -> (n,). ``verdict``: the soft maximum of the log-odds z of all pixels,
    ln(sum(exp(SHARPNESS z))) / SHARPNESS. ``area``: the sum of the probabilities over ``region``, bool (h, w), the
    pixels that were tumour in the picture as it came."""
    if question == "area":
        return probabilities[:, region].sum(axis=1, dtype=np.float64)
    odds = logit(np.clip(probabilities.astype(np.float64), NEAREST, 1 - NEAREST))
    found: NDArray[np.float64] = logsumexp(SHARPNESS * odds, axis=(1, 2)) / SHARPNESS
    return found
