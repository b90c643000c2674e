"""A NIfTI header -> where its voxels lie. Which of the two transforms counts, in which unit, and what is no place."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from handler.errors import RequestError
from handler.scan import Warn
from handler.volumes.grid import Grid

# xyzt_units, the lowest three bits: metres, millimetres, microns. 0 is unknown: millimetres, as everybody takes it.
MILLIMETRES = {1: 1000.0, 2: 1.0, 3: 0.001}
SPACINGS_MM = (0.01, 100.0)
FURTHEST_MM = 1e5
SHEAR_SEEN, SHEAR_TAKEN = 1e-3, 0.2  # cosines between axes; affine registrations leave some 1e-4 to 1e-2


def _matrix(header: Any, name: str) -> NDArray[np.float64] | None:
    """The transform ``sform`` or ``qform``, None where its code is 0; ``corrupt_image`` where it cannot be used."""
    if int(header[f"{name}_code"]) == 0:
        return None
    try:
        matrix = header.get_sform() if name == "sform" else header.get_qform()
    except Exception:  # nibabel: quaternions that are none, negative steps
        matrix = None
    if matrix is None or not np.isfinite(matrix).all():
        raise RequestError(
            "corrupt_image", f"The header's {name} is no transform: its numbers are not finite or not a rotation."
        )
    return np.array(matrix, np.float64)


def _chosen(header: Any) -> tuple[NDArray[np.float64], str, tuple[Warn, ...]]:
    """The sform where there is one, as nibabel and (mostly) ITK do; else the qform; else nibabel's stand-in."""
    sform, qform = _matrix(header, "sform"), _matrix(header, "qform")
    if sform is None and qform is None:
        detail = (
            "The header says nothing about orientation (both codes are 0): steps are its pixdim, left and right and "
            "the origin are a guess"
        )
        base = np.array(header.get_base_affine(), np.float64)
        if not np.isfinite(base).all():
            raise RequestError("corrupt_image", "The header's pixdim are not finite, and there is no transform.")
        return base, "pixdim", (Warn("no_orientation", detail),)
    if sform is None or qform is None:
        return (sform, "sform", ()) if sform is not None else (np.array(qform), "qform", ())
    size = np.array([*header["dim"][1:4], 1], np.float64)
    corners = np.array([[0, 0, 0, 1], [*size[:3] - 1, 1], [size[0] - 1, 0, 0, 1], [0, size[1] - 1, 0, 1]])
    steps = np.linalg.norm(sform[:3, :3], axis=0)
    apart = float(np.abs(corners @ (sform - qform).T).max())
    if apart <= 0.1 * float(steps.min()):
        return sform, "sform", ()
    detail = "sform and qform put the voxels in different places: the sform was taken, some programs take the qform"
    return sform, "sform", (Warn("transforms_differ", detail),)


def place(header: Any, size: tuple[int, int, int]) -> tuple[Grid, tuple[Warn, ...]]:
    """The grid of a volume of ``size``, in millimetres whatever the header's unit; the header stays as it is.

    Raises ``corrupt_image`` for a transform that is none (not finite, singular, no rotation) and ``unsupported_shape``
    for steps outside 0.01 to 100 mm or axes sheared by more than 11 degrees. Warnings: ``no_orientation``,
    ``transforms_differ``, ``sheared``."""
    affine, source, warnings = _chosen(header)
    affine[:3] *= MILLIMETRES.get(int(header["xyzt_units"]) & 7, 1.0)
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    if np.abs(affine).max() > FURTHEST_MM or not ((steps >= SPACINGS_MM[0]) & (steps <= SPACINGS_MM[1])).all():
        shown = " x ".join(f"{step:.4g}" for step in steps)
        raise RequestError(
            "unsupported_shape",
            f"The header's {source} makes voxels of {shown} mm, or puts them further than {FURTHEST_MM:g} mm away; "
            f"expected steps of {SPACINGS_MM[0]} to {SPACINGS_MM[1]} mm. Check the transform and the unit.",
        )
    axes = affine[:3, :3] / steps
    cosines = np.abs(axes.T @ axes - np.eye(3))
    if cosines.max() > SHEAR_TAKEN:
        raise RequestError(
            "unsupported_shape",
            f"The header's {source} is sheared: two axes are {np.degrees(np.arcsin(min(1.0, cosines.max()))):.0f} "
            "degrees off square; at most 11 are taken. Resample the scan to a rectangular grid.",
        )
    if cosines.max() > SHEAR_SEEN:
        detail = f"The header's {source} is sheared: axes are {np.degrees(np.arcsin(cosines.max())):.2f} degrees off"
        warnings = (*warnings, Warn("sheared", detail + " square; programs of the ITK family may refuse the file"))
    return Grid(size, affine, source), warnings
