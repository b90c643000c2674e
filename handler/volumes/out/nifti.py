"""Mask -> NIfTI on the very grid that came.

Where a program puts a scan depends on the program: nibabel and ITK disagree where sform and qform do. So the geometry
of the scan's header goes over number by number, both transforms with both codes, the sign of qfac and the unit code,
and each program puts the mask where it puts the scan. Nothing else of that header does: its texts and extensions may
name the patient.
"""

from __future__ import annotations

import gzip
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handler.volumes.grid import Grid
from handler.volumes.out.algorithm import NOTICE, Algorithm
from handler.volumes.volume import NiftiSource, Volume
from handler.wanted import ask

# What says where the voxels are. pixdim: qfac and the three steps, the rest of it is time and such.
GEOMETRY = (
    *("qform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
    *("sform_code", "srow_x", "srow_y", "srow_z", "xyzt_units"),
)
MILLIMETRES = 2
SCANNER = 1  # the code for coordinates of the scanner
UNKNOWN_SYSTEM = 255


def encode(volume: Volume, mask: NDArray[np.bool_] | NDArray[np.uint8], algorithm: Algorithm) -> bytes:
    """``mask``: bool or uint8 labels (slices, rows, columns) on the volume's grid -> a ``.nii.gz``.

    uint8, 3-D, no scaling, no intent (1002 makes viewers draw labels instead of a mask), NIfTI-1 or 2 as the scan is,
    little-endian whatever it was; NIfTI-1 for DICOM. The description holds the notice, name and version. Equal
    arguments give equal bytes: one gzip member without a time. Raises ValueError for a mask of another shape.
    """
    if mask.shape != volume.grid.shape:
        raise ValueError(f"a mask of shape {mask.shape} on a grid of {volume.grid.shape}")
    header = _like(volume.source.header) if isinstance(volume.source, NiftiSource) else _from_grid(volume.grid)
    header["dim"] = [3, *volume.grid.size, 1, 1, 1, 1]
    header["descrip"] = f"{NOTICE} {algorithm.label}".encode("ascii", "replace")[:79]
    values = np.ascontiguousarray(mask, np.uint8)
    # 4 bytes of zero: no extensions
    return _gzip(header.binaryblock + bytes(4) + values.tobytes())


def encode_scan(volume: Volume, algorithm: Algorithm) -> bytes:
    """The scan itself for viewers that read no DICOM, as :func:`encode` lays its mask: int16, its lowest and highest
    voxel at the ends of that type, brought back by slope and intercept."""
    low, high = float(volume.voxels.min()), float(volume.voxels.max())
    slope = (high - low) / 65535 or 1.0
    header = _like(volume.source.header) if isinstance(volume.source, NiftiSource) else _from_grid(volume.grid)
    header.set_data_dtype(np.int16)
    header["dim"] = [3, *volume.grid.size, 1, 1, 1, 1]
    header["descrip"] = f"{NOTICE} {algorithm.label}".encode("ascii", "replace")[:79]
    header["scl_slope"], header["scl_inter"] = slope, low + 32768 * slope
    steps = np.empty(volume.grid.shape, "<i2")
    for index, plane in enumerate(volume.voxels):
        ask()
        steps[index] = np.rint((plane - low) / slope) - 32768
    return _gzip(header.binaryblock + bytes(4) + steps.tobytes(), 1)


def _like(theirs: Any) -> Any:
    header = _blank(2 if int(theirs["sizeof_hdr"]) == 540 else 1)
    for name in GEOMETRY:
        header[name] = theirs[name]
    header["pixdim"][:4] = theirs["pixdim"][:4]
    return header


def _from_grid(grid: Grid) -> Any:
    header = _blank(1)
    # qform first: it sets pixdim and qfac
    header.set_qform(grid.affine_ras, code=SCANNER, strip_shears=True)
    header.set_sform(grid.affine_ras, code=SCANNER)
    header["xyzt_units"] = MILLIMETRES
    return header


def _blank(version: int) -> Any:
    import nibabel

    kind: Any = nibabel.Nifti1Header if version == 1 else nibabel.Nifti2Header
    header = kind(endianness="<")
    header.set_data_dtype(np.uint8)
    header["vox_offset"] = int(header["sizeof_hdr"]) + 4
    header["scl_slope"], header["scl_inter"] = 1, 0  # said outright: an empty slope is read in two ways
    return header


def _gzip(data: bytes, level: int = 6) -> bytes:
    packed = bytearray(gzip.compress(data, compresslevel=level, mtime=0))
    packed[9] = UNKNOWN_SYSTEM  # what it was packed on: Python's versions differ
    return bytes(packed)
