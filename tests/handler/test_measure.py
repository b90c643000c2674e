"""Mask and counts: 16-bit thresholds, small components, and a mask that can be redrawn from the picture."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from handler.decode import decode
from handler.measure import STEPS, drop_small, mask_of, measure, to_steps
from handler.render import OUTPUTS, View

THRESHOLDS = st.floats(0, 1, exclude_min=True, exclude_max=True)


def flooded(mask: np.ndarray, smallest: int) -> np.ndarray:
    """What :func:`drop_small` should do, by brute force: 8-connected components found by flooding."""
    kept, seen = np.zeros_like(mask), set()
    for start in zip(*np.nonzero(mask), strict=True):
        if start in seen:
            continue
        component, border = {start}, [start]
        while border:
            y, x = border.pop()
            for near in ((y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)):
                inside = 0 <= near[0] < mask.shape[0] and 0 <= near[1] < mask.shape[1]
                if inside and near not in component and mask[near]:
                    component.add(near)
                    border.append(near)
        seen |= component
        if len(component) >= smallest:
            kept[tuple(np.transpose(list(component)))] = True
    return kept


@given(
    mask=st.tuples(st.integers(1, 14), st.integers(1, 14)).flatmap(lambda shape: arrays(bool, shape)),
    smallest=st.integers(0, 12),
)
def test_small_components_are_dropped(mask: np.ndarray, smallest: int) -> None:
    np.testing.assert_array_equal(drop_small(mask, smallest), flooded(mask, smallest))


@pytest.mark.parametrize("turned", [False, True])
def test_corners_connect(turned: bool) -> None:
    diagonal = np.eye(9, dtype=bool)[:, :: -1 if turned else 1]
    assert drop_small(diagonal, 9).sum() == 9
    assert drop_small(diagonal, 10).sum() == 0


def test_smallest_is_a_size_that_stays() -> None:
    mask = np.zeros((20, 20), bool)
    mask[2:4, 2:5] = mask[10:13, 10:14] = True  # 6 and 12 pixels
    assert [int(drop_small(mask, n).sum()) for n in (0, 1, 6, 7, 12, 13)] == [18, 18, 18, 12, 12, 0]


@given(step=st.integers(0, STEPS), threshold=THRESHOLDS)
def test_a_pixel_is_tumour_above_the_threshold(step: int, threshold: float) -> None:
    mask = mask_of(np.array([[step]], np.uint16), threshold, 0)
    assert mask[0, 0] == (step / STEPS > threshold)


@given(step=st.integers(1, STEPS - 1))
def test_exactly_at_the_threshold_is_not_tumour(step: int) -> None:
    steps = np.array([[step - 1, step, step + 1]], np.uint16)
    assert mask_of(steps, step / STEPS, 0).tolist() == [[False, False, True]]


@given(threshold=THRESHOLDS)
def test_certainty_is_always_tumour_and_nothing_never(threshold: float) -> None:
    assert mask_of(np.array([[0, STEPS]], np.uint16), threshold, 0).tolist() == [[False, True]]


@pytest.mark.parametrize(
    ("probability", "step"),
    [(0.0, 0), (1.0, 65535), (0.5, 32768), (1 / 65535, 1), (0.49 / 65535, 0), (-0.1, 0), (1.1, 65535)],
)
def test_steps(probability: float, step: int) -> None:
    assert to_steps(np.array([[probability]], np.float32))[0, 0] == step


@given(height=st.integers(16, 80), width=st.integers(16, 80), threshold=THRESHOLDS, smallest=st.integers(0, 30))
def test_the_mask_can_be_redrawn_from_the_probability_picture(
    height: int, width: int, threshold: float, smallest: int
) -> None:
    probability = np.random.default_rng(height * width).random((32, 32), np.float32)
    found = measure(probability, 0, height, width, threshold, smallest)
    picture = OUTPUTS["probability"].encode(View(np.zeros((height, width, 3), np.uint8), found))
    steps = decode(picture).pixels[0, ..., 0]
    np.testing.assert_array_equal(steps, found.steps)
    np.testing.assert_array_equal(flooded(steps / 65535 > threshold, smallest), found.mask)


@given(height=st.integers(16, 200), width=st.integers(16, 200), threshold=THRESHOLDS)
def test_counts_are_those_of_the_mask(height: int, width: int, threshold: float) -> None:
    probability = np.random.default_rng(width).random((64, 64), np.float32) ** 4
    found = measure(probability, 7, height, width, threshold, 0)
    counted = found.measurement
    assert (counted.index, counted.total_pixels) == (7, height * width)
    assert counted.tumor_pixels == found.mask.sum()
    assert counted.coverage_percent == pytest.approx(100 * found.mask.mean())
    assert counted.max_probability == found.steps.max() / STEPS
    assert found.mask.shape == found.steps.shape == (height, width)


def test_a_dropped_lesion_still_shows_in_the_largest_probability() -> None:
    probability = np.zeros((64, 64), np.float32)
    probability[5:8, 5:8] = 0.9
    found = measure(probability, 0, 64, 64, 0.5, 10).measurement
    assert (found.tumor_pixels, round(found.max_probability, 4)) == (0, 0.9)
