"""A heat map as pictures: the map itself, to be computed with, and the map over the scan, to be looked at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from handler.render import HEAT

STEPS = 65535
MOST = 0.65  # of the overlay's colour, where the map is brightest


def bounds(heat: NDArray[np.float32]) -> tuple[float, float]:
    """The least and the largest of ``heat``."""
    return float(heat.min()), float(heat.max())


def drawn(heat: NDArray[np.float32]) -> NDArray[np.uint16]:
    """``heat`` (h, w) as uint16 (h, w): 0 at its least, 65535 at its largest; all 0 where these are one."""
    low, high = bounds(heat)
    if not high > low:
        return np.zeros(heat.shape, np.uint16)
    return np.rint((heat - np.float32(low)) * np.float32(STEPS / (high - low))).clip(0, STEPS).astype(np.uint16)


def over(scan: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """``scan`` (h, w, 3) in the colours of ``heat`` (h, w) where that is above 0, the stronger the hotter."""
    high = max(float(heat.max()), 0.0)
    share = np.clip(heat / high, 0, 1) if high > 0 else np.zeros_like(heat)
    colour = HEAT[(share * 255).astype(np.uint8)]
    weight = (np.float32(MOST) * share)[..., None].astype(np.float32)
    return np.asarray(np.rint(scan * (1 - weight) + colour * weight), np.uint8)
