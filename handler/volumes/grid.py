"""Where voxels lie in the patient: what passes between the stages instead of bare arrays and loose spacings."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

SOURCES = ("dicom", "sform", "qform", "pixdim")
TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])  # DICOM counts x to the left and y to the back, NIfTI to the right and front


@dataclass(frozen=True, eq=False)
class Grid:
    """A grid of voxels.

    ``size``: columns, rows, slices: the order of NIfTI's axes i, j, k. An array of voxels on this grid has the shape
    ``(slices, rows, columns)``, that is ``size`` reversed: ``voxels[k, j, i]``.
    ``affine_ras``: float64 (4, 4), from (i, j, k, 1), the middle of a voxel, to millimetres in the patient: x to the
    right, y to the front, z to the head (RAS+).
    ``source``: where the affine came from, one of :data:`SOURCES`.
    """

    size: tuple[int, int, int]
    affine_ras: NDArray[np.float64]
    source: str

    def __post_init__(self) -> None:
        affine = np.array(self.affine_ras, np.float64)
        if self.source not in SOURCES:
            raise ValueError(f"source {self.source!r}: expected one of {', '.join(SOURCES)}")
        if len(self.size) != 3 or min(self.size) < 1:
            raise ValueError(f"size {self.size}: expected three numbers of voxels above 0")
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise ValueError(f"affine of shape {affine.shape}: expected 4 x 4 finite numbers")
        if abs(np.linalg.det(affine[:3, :3])) < 1e-9:
            raise ValueError("the affine is singular: its axes do not span a space")
        affine.setflags(write=False)
        object.__setattr__(self, "affine_ras", affine)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of an array on this grid: slices, rows, columns."""
        return self.size[2], self.size[1], self.size[0]

    @property
    def affine_lps(self) -> NDArray[np.float64]:
        """The same in DICOM's axes: x to the left, y to the back."""
        return TO_LPS @ self.affine_ras

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Between the middles of neighbours along i, j and k."""
        column, row, through = (float(length) for length in np.linalg.norm(self.affine_ras[:3, :3], axis=0))
        return column, row, through

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel in millilitres (1 ml = 1000 mm3)."""
        return float(abs(np.linalg.det(self.affine_ras[:3, :3]))) / 1000.0

    @property
    def orientation(self) -> str:
        """Where i, j and k point to, as three letters out of R/L, A/P, S/I: the assignment of grid axes to patient axes
        that fits best (each patient axis once)."""
        directions = self.affine_ras[:3, :3] / np.array(self.spacing_mm)
        best = max(
            permutations(range(3)), key=lambda axes: sum(abs(directions[axis, n]) for n, axis in enumerate(axes))
        )
        letters = ("RL", "AP", "SI")
        return "".join(letters[axis][0 if directions[axis, n] > 0 else 1] for n, axis in enumerate(best))

    @property
    def plane(self) -> str:
        """That its slices (i, j) lie in: ``axial``, ``coronal`` or ``sagittal``, oblique ones by the nearest."""
        return {"S": "axial", "I": "axial", "A": "coronal", "P": "coronal"}.get(self.orientation[2], "sagittal")

    def to_mm(self, indices: NDArray[np.float64]) -> NDArray[np.float64]:
        """``indices`` (..., 3), i, j, k, fractions allowed -> millimetres (..., 3), RAS+."""
        return np.asarray(indices, np.float64) @ self.affine_ras[:3, :3].T + self.affine_ras[:3, 3]

    def to_index(self, millimetres: NDArray[np.float64]) -> NDArray[np.float64]:
        """The inverse of :meth:`to_mm`."""
        inverse = np.linalg.inv(self.affine_ras)
        return np.asarray(millimetres, np.float64) @ inverse[:3, :3].T + inverse[:3, 3]

    def same_as(self, other: Grid, tolerance_mm: float = 1e-2) -> bool:
        """Whether every voxel lies within ``tolerance_mm`` of its namesake on ``other``: the corners decide."""
        if self.size != other.size:
            return False
        corners = np.array(
            [[i, j, k] for i in (0, self.size[0] - 1) for j in (0, self.size[1] - 1) for k in (0, self.size[2] - 1)],
            float,
        )
        return bool(np.abs(self.to_mm(corners) - other.to_mm(corners)).max() <= tolerance_mm)
