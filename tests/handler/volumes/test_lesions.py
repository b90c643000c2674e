"""Lesions of a mask: counted, measured and placed by the stated rules."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from handler.volumes.grid import Grid
from handler.volumes.lesions import CONNECTIVITY, measure

THICK = np.diag([0.9, 0.8, 5.0, 1.0])


def grid_of(mask: NDArray[np.bool_], affine: NDArray[np.float64] = THICK) -> Grid:
    slices, rows, columns = mask.shape
    return Grid((columns, rows, slices), affine, "sform")


def blank() -> NDArray[np.bool_]:
    return np.zeros((6, 20, 24), bool)


def test_a_box() -> None:
    mask = blank()
    mask[2:4, 5:9, 10:16] = True
    found = measure(mask, grid_of(mask))
    (lesion,) = found.found
    assert lesion.voxels == 48
    assert lesion.volume_ml == pytest.approx(48 * 0.9 * 0.8 * 5 / 1000) == found.tumor_volume_ml
    assert lesion.slices == (2, 3)
    assert lesion.centroid_mm == pytest.approx((12.5 * 0.9, 6.5 * 0.8, 2.5 * 5))
    assert lesion.longest_mm == pytest.approx(np.hypot(5 * 0.9, 3 * 0.8)), "corner to corner, centre to centre"
    assert (lesion.diameter.slice, lesion.diameter.start, lesion.diameter.end) == (2, (5, 10), (8, 15))


def test_the_diameter_stays_in_its_slice() -> None:
    """12 x 6 x 6 mm: pyradiomics says 15.2, scikit-image 15.5 of the same lesion."""
    mask = blank()
    mask[1:5, 4:7, 3:15] = True
    lesion = measure(mask, grid_of(mask, np.diag([1.0, 2.0, 1.5, 1.0]))).found[0]
    assert lesion.longest_mm == pytest.approx(np.hypot(11, 4))


def test_a_corner_joins_two_voxels() -> None:
    mask = blank()
    mask[1, 3, 3] = mask[2, 4, 4] = True
    assert len(measure(mask, grid_of(mask)).found) == 1
    mask[4, 4, 4] = True
    assert len(measure(mask, grid_of(mask)).found) == 2


def test_the_largest_comes_first_and_the_rule_beside_the_count() -> None:
    mask = blank()
    mask[0, 0, 0] = True
    mask[3, 10:15, 10] = True
    mask[5, 0, 0:2] = True
    found = measure(mask, grid_of(mask))
    assert [lesion.voxels for lesion in found.found] == [5, 2, 1]
    answer = found.as_json()
    assert answer["lesion_connectivity"] == CONNECTIVITY == 26
    assert answer["lesion_count"] == 3
    assert answer["lesions"][2] == {  # type: ignore[index]
        "voxels": 1,
        "volume_ml": 0.0036,
        "centroid_mm": [0.0, 0.0, 0.0],
        "longest_mm": 0.0,
        "longest_on": {"mm": 0.0, "slice": 0, "start": (0, 0), "end": (0, 0)},
        "slices": [0, 0],
    }


def test_nothing_found() -> None:
    found = measure(blank(), grid_of(blank()))
    assert found.found == ()
    assert found.tumor_volume_ml == 0.0


def test_a_mask_of_another_shape() -> None:
    with pytest.raises(ValueError, match=r"\(6, 20, 24\) on a grid of \(7, 20, 24\)"):
        measure(blank(), grid_of(np.zeros((7, 20, 24), bool)))


@pytest.mark.parametrize("shape", ["a line", "a slanted line", "a ring", "a disc"])
def test_large_and_flat_ones_against_all_pairs(shape: str) -> None:
    rows, columns = np.mgrid[:60, :70]
    drawn = {
        "a line": rows == 30,
        "a slanted line": rows == columns,
        "a ring": abs(np.hypot(rows - 30, columns - 35) - 20) < 2,
        "a disc": np.hypot(rows - 28.4, columns - 33.3) < 25,
    }[shape]
    affine = np.array([[0.7, 0.2, 0, 5], [-0.2, 0.9, 0, 6], [0, 0.1, 3, 7], [0, 0, 0, 1]])
    lesion = measure(drawn[None], grid_of(drawn[None], affine)).found[0]
    places = np.argwhere(drawn) @ affine[:3, [1, 0]].T
    assert lesion.longest_mm == pytest.approx(np.linalg.norm(places[:, None] - places[None], axis=2).max())


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.02, 0.6))
def test_against_all_pairs(seed: int, share: float) -> None:
    random = np.random.default_rng(seed)
    mask = random.random((4, 9, 8)) < share
    affine = np.eye(4)
    affine[:3] += random.normal(0, 0.2, (3, 4))
    found = measure(mask, grid_of(mask, affine))
    assert sum(lesion.voxels for lesion in found.found) == mask.sum()
    for lesion in found.found:
        d = lesion.diameter
        assert mask[d.slice, d.start[0], d.start[1]]
        assert mask[d.slice, d.end[0], d.end[1]]
        apart = (np.array(d.end) - d.start) @ affine[:3, [1, 0]].T
        assert d.mm == pytest.approx(np.linalg.norm(apart))
    if len(found.found) == 1:
        longest = 0.0
        for plane in mask:
            places = np.argwhere(plane) @ affine[:3, [1, 0]].T
            longest = max(longest, np.linalg.norm(places[:, None] - places[None], axis=2).max(initial=0.0))
        assert found.found[0].longest_mm == pytest.approx(longest)
