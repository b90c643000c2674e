"""Random changes to a training slice: what another head, table or window would have made of it."""

from __future__ import annotations

import math

import cv2  # comes with albumentations
import numpy as np
from numpy.typing import NDArray

from training.types.recipe import ChangesRecipe


def change(grid: NDArray[np.float32], recipe: ChangesRecipe, seed: tuple[int, ...]) -> NDArray[np.float32]:
    """A grey slice, float32 (h, w) in 0..1, flipped, turned, scaled, shifted, made brighter or darker; the same seed,
    the same result. What comes in at the edges is black, as air is."""
    rng = np.random.default_rng(seed)
    height, width = grid.shape
    flip = -1.0 if rng.random() < recipe.flip else 1.0
    angle = math.radians(rng.uniform(-1, 1) * recipe.rotate_degrees)
    along, across = 1 + rng.uniform(-1, 1, 2) * recipe.scale_percent / 100
    shift = rng.uniform(-1, 1, 2) * recipe.shift_percent / 100 * np.array([width, height])
    gain, gamma = np.exp(rng.uniform(-1, 1, 2) * math.log1p(recipe.brightness_percent / 100))
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    matrix = turn @ np.diag([flip * along, across])
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    moved = cv2.warpAffine(
        grid, np.column_stack([matrix, centre + shift - matrix @ centre]), (width, height), flags=cv2.INTER_LINEAR
    )
    return np.clip(moved * np.float32(gain), 0, 1).astype(np.float32) ** np.float32(gamma)
