"""A drawn head as a volume: a FLAIR of few voxels with one lesion, by formula from a seed."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

SIZE = (64, 64, 20)  # columns, rows, slices
SPACING_MM = (3.0, 3.0, 6.0)
# The scanner's own units: any would do.
SKULL, WHITE, CORTEX, FLUID, LESION = 240.0, 225.0, 285.0, 60.0, 620.0


@dataclass(frozen=True)
class Head:
    """``voxels``: int16 (slices, rows, columns), background 0; ``mask``: bool likewise, the lesion; ``affine``: (i, j,
    k) -> mm, RAS+."""

    voxels: NDArray[np.int16]
    mask: NDArray[np.bool_]
    affine: NDArray[np.float64]


def draw_head(seed: int = 4) -> Head:
    """An axial FLAIR, columns to the patient's left, rows to the front, slices to the top; the middle of the grid is
    the origin. The lesion, 32 mm wide, lies on the patient's left."""
    step_x, step_y, step_z = SPACING_MM
    affine = np.diag([-step_x, step_y, step_z, 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(SIZE) - 1) / 2)
    k, j, i = np.mgrid[: SIZE[2], : SIZE[1], : SIZE[0]]
    x, y, z = (affine[axis, axis] * index + affine[axis, 3] for axis, index in enumerate((i, j, k)))

    def ellipsoid(centre: tuple[float, float, float], radii: tuple[float, float, float]) -> NDArray[np.float64]:
        """Distance in units of the radius: below 1 is inside. In mm."""
        parts = ((axis - at) / radius for axis, at, radius in zip((x, y, z), centre, radii, strict=True))
        return np.asarray(np.sqrt(sum(part**2 for part in parts)))

    head = ellipsoid((0, 0, -5), (72, 88, 130))  # it goes on above and below
    brain = head < 0.86
    ventricles = (ellipsoid((-9, 4, 0), (6, 26, 14)) < 1) | (ellipsoid((9, 4, 0), (6, 26, 14)) < 1)
    lesion = (ellipsoid((-34, 12, 6), (16, 18, 15)) < 1) & brain
    volume = np.where(head < 1, SKULL, 0.0)
    volume[brain] = WHITE
    volume[brain & (head > 0.74)] = CORTEX
    volume[ventricles & brain] = FLUID
    volume[lesion] = LESION
    volume = ndimage.gaussian_filter(volume, (0.3, 0.6, 0.6))
    noise = np.random.default_rng(seed).normal(0, 6, volume.shape)
    volume = np.where(head < 1, volume + noise, 0.0)
    return Head(np.rint(np.clip(volume, 0, None)).astype(np.int16), lesion, affine)


def nifti_gz(head: Head) -> bytes:
    """As ``.nii.gz``, equal bytes for equal heads."""
    import nibabel  # slow, and only who draws the file needs it

    make: Any = nibabel.Nifti1Image  # untyped
    image = make(head.voxels.transpose(2, 1, 0), head.affine)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = b"drawn, no patient"
    return gzip.compress(image.to_bytes(), 9, mtime=0)
