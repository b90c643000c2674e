"""Drawn heads with a tumour of three labels, in the layout of BraTS: small, licence-free, no measure of quality."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from handler.files import write_atomic

NECROSIS, OEDEMA, ENHANCING = 1, 2, 4  # as BraTS 2017 to 2020 have them
FIELD_MM = 216.0
SLICE_MM = 6.0
CASES = tuple(f"BraTS_phantom_{number:03d}" for number in range(6))
# What a sequence shows of brain, fluid, necrosis, oedema and enhancing tumour: intensities in a scanner's own units.
SHOWN = {
    "flair": (300, 60, 380, 620, 480),
    "t1": (400, 120, 200, 320, 300),
    "t1ce": (400, 120, 180, 330, 780),
    "t2": (250, 700, 600, 560, 420),
}


def write_phantom_volumes(folder: Path, size: int = 48, slices: int = 12, cases: tuple[str, ...] = CASES) -> int:
    """Writes `cases` of `size` x `size` x `slices` voxels below `folder`, a folder each with four sequences and a mask;
    the same arguments write the same files. Returns the number of slices."""
    step = FIELD_MM / size
    affine = np.diag([-step, -step, SLICE_MM, 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array([size, size, slices]) - 1) / 2)
    for seed, case in enumerate(cases):
        rng = np.random.default_rng(seed)
        brain, fluid, labels = _drawn(rng, size, slices)
        for name, values in SHOWN.items():
            volume = np.select(
                [labels == NECROSIS, labels == OEDEMA, labels == ENHANCING, fluid, brain],
                [*values[2:], values[1], values[0]],
                0,
            ).astype(float)
            volume = np.where(brain, np.clip(volume + rng.normal(0, 12, volume.shape), 1, None), 0)
            _write(folder / case / f"{case}_{name}.nii.gz", volume.astype(np.int16), affine)
        _write(folder / case / f"{case}_seg.nii.gz", labels.astype(np.int16), affine)
    return len(cases) * slices


def _drawn(
    rng: np.random.Generator, size: int, slices: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.uint8]]:
    """Brain, ventricles and labels, each (columns, rows, slices), of one head whose tumour lies somewhere beside the
    middle."""
    shape = (size, size, slices)
    x, y, z = (
        (index - (side - 1) / 2) * mm
        for index, side, mm in zip(
            np.mgrid[tuple(slice(0, side) for side in shape)],
            shape,
            (FIELD_MM / size, FIELD_MM / size, SLICE_MM),
            strict=True,
        )
    )
    brain = (x / 62) ** 2 + (y / 78) ** 2 + (z / 60) ** 2 < 1
    fluid = ((np.abs(x) - 9) / 6) ** 2 + (y / 26) ** 2 + (z / 14) ** 2 < 1
    centre = rng.choice((-1, 1)) * rng.uniform(24, 32), rng.uniform(-25, 25), rng.uniform(-8, 8)
    far = np.sqrt(sum((axis - at) ** 2 for axis, at in zip((x, y, z), centre, strict=True)))
    radius = rng.uniform(20, 26)
    labels = np.zeros(shape, np.uint8)
    labels[brain & (far < radius)] = OEDEMA
    labels[brain & (far < 0.7 * radius)] = ENHANCING
    labels[brain & (far < 0.4 * radius)] = NECROSIS
    return brain, fluid, labels


def _write(path: Path, voxels: NDArray[np.int16], affine: NDArray[np.float64]) -> None:
    make: Any = nibabel.Nifti1Image  # untyped
    image = make(voxels, affine)
    image.header.set_xyzt_units("mm")
    write_atomic(path, gzip.compress(image.to_bytes(), 6, mtime=0))
