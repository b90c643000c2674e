"""A volume before the network and back: whatever way its axes run, what is marked there is marked here."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from handler.card import InputSpec
from handler.volumes.grid import Grid
from handler.volumes.plane import MOST_PADDING, Plane, back, picture, plane_of, window_of
from prove.drawn.volumes import ORIENTATIONS, rotation

SPEC = InputSpec()


def grid_of(size: tuple[int, int, int], spacing: tuple[float, ...], turn: NDArray[np.float64]) -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = turn * spacing
    affine[:3, 3] = (-12.0, 30.5, 7.0)
    return Grid(size, affine, "sform")


def through(plane: Plane, voxels: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a network that answers with its input gives back on the volume's grid."""
    stack = plane.to_stack(voxels)
    window = window_of(plane, stack > 0.1)
    found = np.zeros_like(voxels)
    into = plane.to_stack(found)
    for n in range(plane.shape[0]):
        seen = picture(np.asarray(stack[n : n + 1, :, :, None], np.float32), window, SPEC)
        into[n] = back(seen[0, :, :, 0], window, plane.shape[1], plane.shape[2])
    return found


def middle_mm(grid: Grid, weights: NDArray[np.float32]) -> NDArray[np.float64]:
    at = np.argwhere(weights > 0.5)[:, ::-1]
    assert at.size
    return np.asarray(grid.to_mm(at.astype(float)).mean(0))


@given(
    st.sampled_from(range(48)),
    st.floats(-30, 30),
    st.tuples(st.floats(0.7, 1.6), st.floats(0.7, 1.6), st.floats(0.8, 2.9)),
    st.integers(0, 2**16),
)
def test_a_landmark_lands_where_it_lay(
    which: int, degrees: float, spacing: tuple[float, float, float], seed: int
) -> None:
    grid = grid_of((70, 61, 40), spacing, rotation(degrees) @ ORIENTATIONS[which])
    generator = np.random.default_rng(seed)
    block = [generator.integers(2, side - 9) for side in grid.shape]
    voxels = np.zeros(grid.shape, np.float32)
    voxels[tuple(slice(b, b + 6) for b in block)] = 1.0
    found = through(plane_of(grid), voxels)
    assert np.linalg.norm(middle_mm(grid, found) - middle_mm(grid, voxels)) <= min(spacing) / 2
    assert 0.75 < (found > 0.5).sum() / voxels.sum() < 1.34


@pytest.mark.parametrize("turn", ORIENTATIONS)
def test_whatever_the_axes_the_network_sees_the_same(turn: NDArray[np.float64]) -> None:
    """The same head in all 48 orientations of its file gives bit for bit the same pictures, and comes back to its own
    place bit for bit."""
    head = np.random.default_rng(1).random((20, 30, 24)).astype(np.float32)  # to the head, to the back, to the left
    upright = grid_of((24, 30, 20), (1.0, 1.0, 1.0), np.diag([-1.0, -1.0, 1.0]))
    own = turn.T @ np.diag([-1.0, -1.0, 1.0])  # from the upright axes i, j, k to this file's
    axes = np.abs(own).argmax(1)
    voxels = head.transpose([2 - axes[2], 2 - axes[1], 2 - axes[0]])
    voxels = np.ascontiguousarray(voxels[tuple(slice(None, None, int(own[n].sum())) for n in (2, 1, 0))])
    plane = plane_of(grid_of(voxels.shape[::-1], (1.0, 1.0, 1.0), turn))
    assert np.array_equal(plane.to_stack(voxels), head)
    assert plane.name == "axial"
    assert plane.reformatted == (axes[2] != 2)
    assert window_of(plane, plane.to_stack(voxels) > 0.5) == window_of(plane_of(upright), head > 0.5)
    again = np.zeros_like(voxels)
    plane.to_stack(again)[:] = head
    assert np.array_equal(again, voxels)


def test_which_way_up() -> None:
    """A NIfTI as most converters write it (LAS): the first column is at the patient's right already, the rows run to
    the front and are turned."""
    plane = plane_of(grid_of((8, 9, 5), (1.0, 1.0, 4.0), np.diag([-1.0, 1.0, 1.0])))
    assert (plane.axes, plane.turned) == ((0, 1, 2), (False, True, False))


@pytest.mark.parametrize(
    ("orientation", "through_mm", "name", "reformatted"),
    [
        ("LAS", 6.0, "axial", False),
        ("PSR", 1.0, "axial", True),
        ("PSR", 5.0, "sagittal", False),
        ("LSA", 3.0, "axial", True),
        ("LSP", 3.5, "coronal", False),
    ],
)
def test_thick_slices_are_seen_in_their_own_plane(
    orientation: str, through_mm: float, name: str, reformatted: bool
) -> None:
    letters = ("RL", "AP", "SI")
    turn = np.zeros((3, 3))
    for column, letter in enumerate(orientation):
        row = next(n for n, pair in enumerate(letters) if letter in pair)
        turn[row, column] = 1 if letters[row][0] == letter else -1
    grid = grid_of((20, 30, 9), (1.0, 1.0, through_mm), turn)
    assert grid.orientation == orientation
    plane = plane_of(grid)
    assert (plane.name, plane.reformatted) == (name, reformatted)


def test_the_field_is_that_of_training_wherever_the_head_lies() -> None:
    plane = plane_of(grid_of((400, 400, 2), (0.859375, 0.859375, 5.0), np.diag([-1.0, -1.0, 1.0])))
    head = np.zeros(plane.shape, bool)
    head[:, 150:380, 30:200] = True
    window = window_of(plane, head)
    assert (window.rows, window.columns) == (256, 256)
    assert (window.top, window.left) == (137, 0), "as much of the middle as the picture's edge lets"


def test_a_large_head_is_not_cut() -> None:
    plane = plane_of(grid_of((300, 300, 2), (1.0, 1.0, 5.0), np.diag([-1.0, -1.0, 1.0])))
    head = np.zeros(plane.shape, bool)
    head[:, 10:270, 20:200] = True
    window = window_of(plane, head)
    assert (window.top, window.rows, window.columns) == (10, 260, 260)


@given(
    st.tuples(*[st.integers(1, 40)] * 3),
    st.tuples(*[st.sampled_from([0.002, 0.01, 0.9, 5.0, 80.0, 1e4])] * 3),
    st.sampled_from(range(48)),
)
def test_any_size_and_any_step(size: tuple[int, int, int], spacing: tuple[float, ...], which: int) -> None:
    """A file may claim steps of a micron or of ten metres: no array of ours grows with it."""
    grid = grid_of(size, spacing, ORIENTATIONS[which])
    plane = plane_of(grid)
    voxels = np.ones(grid.shape, np.float32)
    window = window_of(plane, plane.to_stack(voxels) > 0.1)
    assert max(window.rows, window.columns) <= max(MOST_PADDING * max(plane.shape[1:]), 1)
    seen = picture(np.asarray(plane.to_stack(voxels)[:1, :, :, None], np.float32), window, SPEC)
    assert seen.shape == (1, 256, 256, 1)
    assert np.isfinite(back(seen[0, :, :, 0], window, plane.shape[1], plane.shape[2])).all()
