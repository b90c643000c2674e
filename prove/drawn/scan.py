"""A drawn volume with landmarks, in any orientation, and what is drawn in place of a name."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SENTINEL = "ZZDOE^SENTINEL"
# 48: which patient axis each grid axis runs along, and which way.
ORIENTATIONS = [
    np.array([[sign * (axis == row) for axis, sign in zip(axes, signs, strict=True)] for row in range(3)], float)
    for axes in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


def rotation(degrees: float, axis: tuple[float, float, float] = (1.0, 0.5, 0.25)) -> NDArray[np.float64]:
    """By ``degrees`` about ``axis``: oblique scans."""
    x, y, z = np.array(axis) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.radians(degrees)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


@dataclass(frozen=True)
class Phantom:
    """``landmarks``: indices i, j, k of the brightest voxel of each block."""

    voxels: NDArray[np.int16]
    affine: NDArray[np.float64]
    landmarks: tuple[tuple[int, int, int], ...]

    def landmarks_mm(self) -> NDArray[np.float64]:
        return np.array([(self.affine @ (*index, 1.0))[:3] for index in self.landmarks])


def phantom(
    size: tuple[int, int, int] = (20, 24, 8),
    spacing: tuple[float, float, float] = (0.9, 1.1, 5.0),
    turn: NDArray[np.float64] | None = None,
    origin: tuple[float, float, float] = (-31.0, 12.5, 40.0),
    seed: int = 0,
) -> Phantom:
    """``size``: columns, rows, slices; ``turn``: 3 x 3, from grid axes to the patient's (one of :data:`ORIENTATIONS`,
    turned further by :func:`rotation` for an oblique one)."""
    generator = np.random.default_rng(seed)
    voxels = generator.integers(50, 200, size[::-1]).astype(np.int16)
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if turn is None else turn) * spacing
    affine[:3, 3] = origin
    landmarks = tuple(
        (int(size[0] * a), int(size[1] * b), int(size[2] * c))
        for a, b, c in ((0.2, 0.3, 0.2), (0.7, 0.2, 0.6), (0.4, 0.8, 0.9))
    )
    for number, (i, j, k) in enumerate(landmarks):
        voxels[k, j, i] = 1000 + 100 * number
    return Phantom(voxels, affine, landmarks)


def brightest(voxels: NDArray[np.float32], count: int = 3) -> list[tuple[int, int, int]]:
    """i, j, k of the ``count`` brightest voxels of (slices, rows, columns), the darkest of them first: the landmarks in
    the phantom's order, whatever the scale."""
    found = np.argsort(voxels, axis=None)[-count:]
    return [(int(i), int(j), int(k)) for k, j, i in (np.unravel_index(n, voxels.shape) for n in found)]
