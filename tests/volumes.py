"""Volumes drawn in code: NIfTI and DICOM with landmarks, in any orientation, and broken on purpose.

A phantom is `Phantom`: int16 voxels (slices, rows, columns) on an affine (i, j, k -> mm, RAS+), with a bright voxel at
each landmark. The writers take it and give bytes; what they write never holds a real name, but :data:`SENTINEL`, which
no answer, error or log may ever hold."""

from __future__ import annotations

import gzip
import io
import itertools
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import nibabel
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


# --- NIfTI -----------------------------------------------------------------------------------------------------------


def nifti(
    scan: Phantom,
    *,
    version: int = 1,
    packed: bool = False,
    big_endian: bool = False,
    dtype: str = "int16",
    sform: tuple[NDArray[np.float64], int] | None = None,
    qform: tuple[NDArray[np.float64], int] | None = None,
    unit: int = 2,
    slope: float | None = None,
    intercept: float = 0.0,
    trailing: int = 0,
    fields: Mapping[str, object] | None = None,
) -> bytes:
    """A whole file. ``sform``, ``qform``: (affine, code), by default both the phantom's with code 1, the numbers in
    ``unit`` (1 metres, 2 mm, 3 microns). ``fields``: set in the header last, whatever they break."""
    kind = nibabel.Nifti1Header if version == 1 else nibabel.Nifti2Header
    header = kind(endianness=">" if big_endian else "<")
    voxels = scan.voxels.transpose(2, 1, 0)
    voxels = voxels.reshape(voxels.shape + (1,) * trailing)
    header.set_data_dtype(np.dtype(dtype))
    header.set_data_shape(voxels.shape)
    scale = np.diag([{1: 1e-3, 3: 1e3}.get(unit, 1.0)] * 3 + [1.0])
    affine, code = qform or (scan.affine, 1)
    header.set_qform(scale @ affine, code)
    affine, code = sform or (scan.affine, 1)
    header.set_sform(scale @ affine, code)
    header["xyzt_units"] = unit
    header["scl_slope"] = 1.0 if slope is None else slope
    header["scl_inter"] = intercept
    header["vox_offset"] = 352 if version == 1 else 544
    header["magic"] = b"n+1" if version == 1 else b"n+2"
    header["descrip"] = SENTINEL.encode()
    header["aux_file"] = SENTINEL.encode()
    for name, value in (fields or {}).items():
        header[name] = value
    raw = voxels.astype(header.get_data_dtype() if "datatype" not in (fields or {}) else dtype).tobytes(order="F")
    data = bytes(header.binaryblock) + bytes(4) + raw
    return gzip.compress(data, mtime=0) if packed else data


def zipped(files: Iterable[tuple[str, bytes]], stored: bool = False) -> bytes:
    """A zip of (name, bytes), dates fixed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED) as archive:
        for name, data in files:
            info = zipfile.ZipInfo(name)
            info.compress_type = archive.compression
            archive.writestr(info, data)
    return buffer.getvalue()
