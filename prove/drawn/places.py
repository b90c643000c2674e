"""Where the voxels of a mask are, read off what holds it by other hands than wrote it: millimetres, RAS."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset


def in_mm(mask: NDArray[np.bool_], affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Middles of the voxels of ``mask`` [k, j, i], sorted."""
    points = np.argwhere(mask)[:, ::-1] @ affine[:3, :3].T + affine[:3, 3]
    return points[np.lexsort(points.round(1).T)]


def placed(dataset: Dataset) -> NDArray[np.float64]:
    """Middles of the mask's voxels by each frame's own geometry, RAS."""
    shared = dataset.SharedFunctionalGroupsSequence[0]
    cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    row_step, column_step = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    points = []
    for group, frame in zip(dataset.PerFrameFunctionalGroupsSequence, dataset.pixel_array, strict=True):
        rows, columns = np.nonzero(frame)
        place = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
        across = columns[:, None] * column_step * cosines[:3] + rows[:, None] * row_step * cosines[3:]
        points.append((place + across) * (-1, -1, 1))
    return np.concatenate(points)


def apart(points: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """The farthest that a point is from its nearest among the others, both ways; infinite for another count."""
    if len(points) != len(others):
        return float("inf")
    distances = np.linalg.norm(points[:, None] - others[None], axis=2)
    return float(max(distances.min(axis=0).max(), distances.min(axis=1).max()))
