"""Mask -> lesions: how many, how large, where in the patient.

Libraries count the same mask differently, so the rules stand here. Two voxels belong to one lesion where they share a
face, an edge or a corner (26-connected). The longest diameter is in plane, from the middle of a voxel to the middle of
another one of the same lesion on the same slice, in the slices of the file: across thick slices a diameter says more
about their thickness than about the tumour.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from handler.volumes.grid import Grid
from handler.wanted import ask

CONNECTIVITY = 26
HULL_FROM = 16  # points from which the hull costs less than all distances


@dataclass(frozen=True)
class Diameter:
    """``mm``: the longest, centre to centre, in plane. ``slice``: where; ``start`` and ``end``: (row, column) of its
    two voxels there, the same one in a lesion that has one voxel a slice (``mm`` 0)."""

    mm: float
    slice: int
    start: tuple[int, int]
    end: tuple[int, int]


@dataclass(frozen=True)
class Lesion:
    """``centroid_mm``: the mean of its voxels' middles, RAS+ (x to the right, y to the front, z to the head).
    ``slices``: the first and the last one that it is on."""

    voxels: int
    volume_ml: float
    centroid_mm: tuple[float, float, float]
    slices: tuple[int, int]
    diameter: Diameter

    @property
    def longest_mm(self) -> float:
        return self.diameter.mm


@dataclass(frozen=True)
class Lesions:
    """All of a mask, the largest first (of equal ones the one that begins first in the file)."""

    found: tuple[Lesion, ...]
    tumor_volume_ml: float

    def as_json(self) -> dict[str, object]:
        """The members of the answer. The rule of counting stands beside the count."""
        return {
            "tumor_volume_ml": round(self.tumor_volume_ml, 4),
            "lesion_count": len(self.found),
            "lesion_connectivity": CONNECTIVITY,
            "lesions": [
                {
                    "voxels": lesion.voxels,
                    "volume_ml": round(lesion.volume_ml, 4),
                    "centroid_mm": [round(value, 2) for value in lesion.centroid_mm],
                    "longest_mm": round(lesion.longest_mm, 2),
                    "longest_on": asdict(lesion.diameter) | {"mm": round(lesion.longest_mm, 2)},
                    "slices": list(lesion.slices),
                }
                for lesion in self.found
            ],
        }


def measure(mask: NDArray[np.bool_], grid: Grid) -> Lesions:
    """``mask``: bool (slices, rows, columns) on ``grid``. Raises ValueError for a mask of another shape."""
    if mask.shape != grid.shape:
        raise ValueError(f"a mask of shape {mask.shape} on a grid of {grid.shape}")
    labels, count = ndimage.label(mask, structure=np.ones((3, 3, 3), bool))
    voxels = np.argwhere(mask)
    if not count:
        return Lesions((), 0.0)
    ask()
    of = labels[tuple(voxels.T)]
    order = np.argsort(of, kind="stable")  # by lesion, each in the order of the file
    starts = np.flatnonzero(np.diff(of[order], prepend=0))
    found = [_lesion(part, grid) for part in np.split(voxels[order], starts[1:])]
    found.sort(key=lambda lesion: -lesion.voxels)
    return Lesions(tuple(found), len(voxels) * grid.voxel_ml)


def _lesion(voxels: NDArray[np.int64], grid: Grid) -> Lesion:
    """``voxels`` (n, 3): slice, row, column, in the order of the file."""
    ask()  # noise may be thousands
    x, y, z = (float(value) for value in grid.to_mm(voxels[:, ::-1].mean(axis=0)))
    return Lesion(
        voxels=len(voxels),
        volume_ml=len(voxels) * grid.voxel_ml,
        centroid_mm=(x, y, z),
        slices=(int(voxels[0, 0]), int(voxels[-1, 0])),
        diameter=_longest(voxels, grid),
    )


def _longest(voxels: NDArray[np.int64], grid: Grid) -> Diameter:
    """The longest over the slices; of equal ones the first."""
    steps = grid.affine_ras[:3, [1, 0]]  # millimetres of one row, of one column
    row, column = int(voxels[0, 1]), int(voxels[0, 2])
    best = Diameter(0.0, int(voxels[0, 0]), (row, column), (row, column))
    for index, ends in _row_ends(voxels):
        points = _hull(ends)
        places = points @ steps.T
        squares = ((places[:, None] - places[None]) ** 2).sum(axis=2)
        a, b = (int(n) for n in np.unravel_index(int(squares.argmax()), squares.shape))
        length = float(np.sqrt(squares[a, b]))
        if length > best.mm + 1e-9:
            start, end = (tuple(int(n) for n in points[n]) for n in sorted((a, b)))
            best = Diameter(length, index, (start[0], start[1]), (end[0], end[1]))
    return best


def _row_ends(voxels: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """For each slice the first and the last voxel of each row, (n, 2) row and column: no diameter ends elsewhere, for
    from any point the farthest one of a row is one of its ends."""
    changes = (np.diff(voxels[:, :2], axis=0) != 0).any(axis=1)
    ends = voxels[np.r_[True, changes] | np.r_[changes, True]]
    for part in np.split(ends, np.flatnonzero(np.diff(ends[:, 0])) + 1):
        if len(part) > 1:
            yield int(part[0, 0]), part[:, 1:]


def _hull(points: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of ``points`` (n, 2) that the farthest pair can be of, in their order."""
    if len(points) < HULL_FROM:
        return points
    try:
        return points[np.sort(ConvexHull(points).vertices)]
    except QhullError:  # all on one line
        return points
