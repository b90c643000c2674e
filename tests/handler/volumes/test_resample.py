"""A sequence onto another one's grid: by millimetres, whatever the order of its voxels."""

from __future__ import annotations

import dataclasses

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from handler.errors import RequestError
from handler.volumes.grid import Grid
from handler.volumes.register import Motion, register
from handler.volumes.resample import check_cover, check_frame, onto
from handler.volumes.volume import Acquisition, NiftiSource, Volume
from prove.drawn.volumes import ORIENTATIONS, rotation


def volume(
    voxels: NDArray[np.float32], affine: NDArray[np.float64], frame: str | None = None, name: str = "flair"
) -> Volume:
    slices, rows, columns = voxels.shape
    grid = Grid((columns, rows, slices), affine, "sform")
    acquisition = Acquisition(frame_of_reference=frame, name=name)
    return Volume(
        np.asarray(voxels, np.float32), grid, NiftiSource(nibabel.Nifti1Header()), acquisition, "nifti", "0" * 64
    )


def affine_of(
    turn: NDArray[np.float64], spacing: tuple[float, float, float], middle: tuple[float, ...], shape: tuple[int, ...]
) -> NDArray[np.float64]:
    affine = np.eye(4)
    affine[:3, :3] = turn * spacing
    affine[:3, 3] = np.array(middle) - affine[:3, :3] @ ((np.array(shape[::-1]) - 1) / 2)
    return affine


def hill(grid: Grid, middle: tuple[float, ...] = (5.0, -8.0, 3.0), width: float = 14.0) -> NDArray[np.float32]:
    """Smooth, known in millimetres: what it is on any grid can be told."""
    indices = np.stack(np.meshgrid(*[np.arange(n) for n in grid.size], indexing="ij"), -1)
    squares = ((grid.to_mm(indices) - middle) ** 2).sum(-1)
    return np.exp(-squares / (2 * width**2)).transpose(2, 1, 0).astype(np.float32)


def of_hill(turn: NDArray[np.float64], spacing: tuple[float, float, float], shape: tuple[int, int, int]) -> Volume:
    affine = affine_of(turn, spacing, (4.0, -6.0, 2.0), shape)
    return volume(hill(Grid(shape[::-1], affine, "sform")), affine)


@pytest.mark.parametrize("which", range(48))
def test_any_orientation_onto_an_oblique_grid(which: int) -> None:
    moving = of_hill(rotation(8) @ ORIENTATIONS[which], (1.5, 1.4, 1.6), (60, 62, 64))
    target = Grid((30, 32, 9), affine_of(rotation(-12), (1.7, 1.8, 5.0), (4.0, -6.0, 2.0), (9, 32, 30)), "sform")
    laid = onto(moving, target)
    assert laid.how == "trilinear"
    assert laid.covered == 1.0
    assert np.abs(laid.voxels - hill(target)).max() < 0.03


@pytest.mark.parametrize("which", range(48))
def test_the_same_voxels_in_another_order_stay_what_they_are(which: int) -> None:
    generator = np.random.default_rng(which)
    own = volume(generator.random((5, 7, 9)), affine_of(rotation(20), (0.9, 0.8, 5.0), (1, 2, 3), (5, 7, 9)))
    turn = ORIENTATIONS[which]  # from this file's axes to the own ones
    axes, signs = np.abs(turn).argmax(0), turn.sum(0)
    there = own.voxels.transpose(2, 1, 0).transpose(axes)[tuple(slice(None, None, int(sign)) for sign in signs)]
    shift = [0 if turn[row].sum() > 0 else own.grid.size[row] - 1 for row in range(3)]
    to_own = np.eye(4)
    to_own[:3, :3], to_own[:3, 3] = turn, shift
    moving = volume(np.ascontiguousarray(there.transpose(2, 1, 0)), own.grid.affine_ras @ to_own)
    laid = onto(moving, own.grid)
    assert laid.how == (
        "same_grid" if which == next(n for n, o in enumerate(ORIENTATIONS) if (o == np.eye(3)).all()) else "turned"
    )
    assert np.array_equal(laid.voxels, own.voxels)


def test_a_thick_slice_is_the_mean_of_the_thin_ones_in_it() -> None:
    thin = np.zeros((60, 8, 8), np.float32)
    thin[::2] = 1.0
    moving = volume(thin, affine_of(np.eye(3), (1, 1, 1), (0, 0, 0), thin.shape))
    target = Grid((8, 8, 12), affine_of(np.eye(3), (1, 1, 5), (0, 0, 0), (12, 8, 8)), "sform")
    assert np.abs(onto(moving, target).voxels[1:-1] - 0.5).max() < 0.05


def test_beyond_the_sequence_there_is_nothing() -> None:
    moving = of_hill(np.eye(3), (1, 1, 1), (20, 20, 20))
    target = Grid((20, 20, 40), affine_of(np.eye(3), (1, 1, 1), (4, -6, 2), (40, 20, 20)), "sform")
    laid = onto(moving, target)
    assert np.isnan(laid.voxels[:9]).all()
    assert not np.isnan(laid.voxels[10:30]).any()
    assert laid.covered == pytest.approx(0.5, abs=0.05)
    assert [w.code for w in check_cover("t1", laid)] == ["partly_covered"]


def test_sequences_that_do_not_overlap() -> None:
    moving = of_hill(np.eye(3), (1, 1, 1), (20, 20, 20))
    target = Grid((20, 20, 20), affine_of(np.eye(3), (1, 1, 1), (300, 0, 0), (20, 20, 20)), "sform")
    with pytest.raises(RequestError) as refusal:
        check_cover("t1", onto(moving, target))
    assert refusal.value.code == "geometry_mismatch"


def test_frames_of_reference() -> None:
    own = of_hill(np.eye(3), (1, 1, 1), (4, 4, 4))
    told = [
        check_frame("t1", volume(own.voxels, own.grid.affine_ras, a), volume(own.voxels, own.grid.affine_ras, b), done)
        for a, b, done in (("1.2", "1.2", False), ("1.2", None, False), ("1.2", "1.3", True), ("1.2", "1.3", False))
    ]
    assert [[w.code for w in warnings] for warnings in told] == [[], [], [], ["other_frame_of_reference"]]
    assert "1.3" not in told[-1][0].detail, "a UID may name a patient"


def head(grid: Grid, seed: int = 0) -> NDArray[np.float32]:
    """An egg with three spots."""
    found = 0.5 * (hill(grid, (0, 0, 0), 30.0) > 0.3) + 0.0
    for n, middle in enumerate(((20.0, 5.0, 0.0), (-10.0, 20.0, 12.0), (0.0, -18.0, -15.0))):
        found += (0.3 + 0.2 * n) * hill(grid, middle, 6.0)
    return (found + 0.01 * np.random.default_rng(seed).random(grid.shape)).astype(np.float32)


def test_a_rigid_motion_is_found_again_and_the_same_each_time() -> None:
    pytest.importorskip("SimpleITK")
    fixed_grid = Grid((48, 48, 40), affine_of(np.eye(3), (2.5, 2.5, 2.5), (0, 0, 0), (40, 48, 48)), "sform")
    fixed = volume(head(fixed_grid), fixed_grid.affine_ras)
    motion = np.eye(4)
    motion[:3, :3], motion[:3, 3] = rotation(6), (6.0, -4.0, 3.0)
    moved = volume(1.0 - head(fixed_grid, 1), motion @ fixed_grid.affine_ras)
    found = register(moved, fixed)
    corners = np.array([[i, j, k] for i in (0, 47) for j in (0, 47) for k in (0, 39)], float)
    apart = np.linalg.norm(found.grid.to_mm(corners) - fixed_grid.to_mm(corners), axis=1)
    assert apart.max() < 2.0, "millimetres, at the corners; they were 10 and more"
    assert found.turn_degrees == pytest.approx(6, abs=1)
    assert found.doubt is None
    assert found.agrees > found.agreed
    again = register(moved, fixed)
    assert np.array_equal(again.grid.affine_ras, found.grid.affine_ras)
    assert (again.agreed, again.agrees) == (found.agreed, found.agrees)


@pytest.mark.parametrize(
    ("shift", "turn", "agreed", "agrees", "why"),
    [
        (16.0, 13.5, 0.4, 0.8, None),
        (30.0, 20.0, 0.4, 0.8, None),
        (30.1, 1.0, 0.4, 0.8, "more than a head moves"),
        (1.0, 20.1, 0.4, 0.8, "more than a head moves"),
        (1.0, 1.0, 0.4, 0.4, "no motion was found"),
        (1.0, 1.0, 0.4, 0.3, "no motion was found"),
        (1.0, 1.0, 0.4, float("nan"), "no motion was found"),
    ],
)
def test_which_motions_are_taken(shift: float, turn: float, agreed: float, agrees: float, why: str | None) -> None:
    own = Grid((2, 2, 2), np.eye(4), "sform")
    doubt = Motion(own, shift, turn, agreed, agrees).doubt
    assert doubt is None if why is None else why in (doubt or "")


def test_without_simpleitk_the_refusal_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "SimpleITK", None)
    own = of_hill(np.eye(3), (1, 1, 1), (8, 8, 8))
    with pytest.raises(RequestError, match="extra 'register'") as refusal:
        register(own, dataclasses.replace(own))
    assert refusal.value.code == "invalid_parameter"
