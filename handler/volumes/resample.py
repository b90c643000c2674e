"""A sequence onto the grid of another one, by where both lie in the patient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from handler.errors import RequestError
from handler.scan import Warn
from handler.volumes.grid import Grid
from handler.volumes.sequences import NAMES
from handler.volumes.volume import Volume

WHOLE = 1e-3  # voxels: closer to a whole number than this is one
# Below the first share of the FLAIR's voxels within the other sequence, they show nothing in common; below the second
# the client is told.
LEAST_COVERED, WELL_COVERED = 0.05, 0.8
FWHM = 2 * np.sqrt(2 * np.log(2))  # of a Gaussian, in standard deviations


@dataclass(frozen=True, eq=False)
class Laid:
    """``voxels``: float32 on the grid that was asked for, NaN where the sequence does not reach. ``how``:
    ``same_grid``, ``turned`` (the same voxels in another order, none changed) or ``trilinear``. ``covered``: the share
    of the grid's voxels within the sequence, 0..1."""

    voxels: NDArray[np.float32]
    how: str
    covered: float


def _as_turned(matrix: NDArray[np.float64], offset: NDArray[np.float64]) -> tuple[list[int], list[bool]] | None:
    """Axes and directions where ``matrix`` only puts voxels into another order; else None."""
    whole = np.rint(matrix)
    permutes = np.array_equal(np.abs(whole).sum(0), (1, 1, 1)) and np.array_equal(np.abs(whole).sum(1), (1, 1, 1))
    if not permutes or np.abs(matrix - whole).max() > WHOLE / 10 or np.abs(offset - np.rint(offset)).max() > WHOLE:
        return None
    # matrix: from the index on the new grid to the index on the old one
    axes = [int(np.flatnonzero(whole[:, new])[0]) for new in range(3)]
    return axes, [bool(whole[axes[new], new] < 0) for new in range(3)]


def _index_map(source: Grid, target: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """From array indices (slice, row, column) on ``target`` to those on ``source``: matrix and offset."""
    both = np.linalg.inv(source.affine_ras) @ target.affine_ras
    turn = np.eye(3)[::-1]
    return turn @ both[:3, :3] @ turn, turn @ both[:3, 3]


def _covered(shape: tuple[int, ...], target: Grid, matrix: NDArray[np.float64], offset: NDArray[np.float64]) -> float:
    """The share of ``target``'s voxels within an array of ``shape``, by some thousands of them."""
    axes = [np.unique(np.linspace(0, side - 1, 24).round()) for side in target.shape]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3) @ matrix.T + offset
    return float(((points >= -0.5 - WHOLE) & (points <= np.array(shape) - 0.5 + WHOLE)).all(1).mean())


def onto(volume: Volume, target: Grid) -> Laid:
    """``volume`` on ``target``, trilinear; where ``target`` is coarser a Gaussian as wide as its voxels goes before, so
    that a thick slice is the mean of the thin ones in it, not one of them."""
    matrix, offset = _index_map(volume.grid, target)
    covered = _covered(volume.grid.shape, target, matrix, offset)
    if volume.grid.same_as(target):
        return Laid(volume.voxels, "same_grid", 1.0)
    turned = _as_turned(matrix, offset)
    if turned is not None and tuple(volume.grid.shape[axis] for axis in turned[0]) == target.shape and covered == 1.0:
        directions = tuple(slice(None, None, -1 if backwards else 1) for backwards in turned[1])
        return Laid(volume.voxels.transpose(turned[0])[directions], "turned", 1.0)
    wide = np.linalg.norm(matrix, axis=1)  # of a target voxel, in voxels along each axis of the source
    sigma = np.sqrt(np.maximum(wide**2 - 1, 0)) / FWHM
    smooth = volume.voxels if sigma.max() < 0.1 else ndimage.gaussian_filter(volume.voxels, sigma, mode="nearest")
    # A voxel of margin, so that the outer halves of the outermost voxels are theirs and not nothing.
    padded = np.pad(smooth, 1, mode="edge")
    laid = ndimage.affine_transform(
        padded, matrix, offset + 1, target.shape, np.float32, order=1, mode="constant", cval=np.nan
    )
    return Laid(laid, "trilinear", covered)


def check_cover(channel: str, laid: Laid) -> tuple[Warn, ...]:
    """Raises ``geometry_mismatch`` where the sequence and the FLAIR have next to nothing in common."""
    share = f"{100 * laid.covered:.0f} % of the FLAIR's field"
    if laid.covered < LEAST_COVERED:
        raise RequestError(
            "geometry_mismatch",
            f"{NAMES[channel]} covers {share}: the sequences do not lie over each other. Send sequences of one "
            "examination with their own geometry, or leave this one out.",
        )
    if laid.covered < WELL_COVERED:
        return (Warn("partly_covered", f"{NAMES[channel]} covers {share}; elsewhere FLAIR stands in for it"),)
    return ()


def check_frame(channel: str, flair: Volume, other: Volume, registered: bool) -> tuple[Warn, ...]:
    """Whether both say that they share their coordinates; a file that says nothing is believed to."""
    theirs, ours = other.acquisition.frame_of_reference, flair.acquisition.frame_of_reference
    if registered or theirs is None or ours is None or theirs == ours:
        return ()
    detail = (
        f"{NAMES[channel]} and FLAIR have different frames of reference: laid over each other by their coordinates all "
        "the same; register=rigid lets the pictures decide"
    )
    return (Warn("other_frame_of_reference", detail),)
