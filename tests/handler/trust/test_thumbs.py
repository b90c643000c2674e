"""Thumbnails of slices: the same for any grid, and the same alone as among others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handler.trust.thumbs import BLANK, SIDE, Thumbs, shrunk, thumbs
from samples.phantom import draw


@settings(deadline=None, max_examples=15)
@given(st.sampled_from([(64, 64), (96, 64), (128, 256)]), st.integers(0, 99), st.sampled_from([0.0, 1e-3, 0.3, 1.0]))
def test_any_grid_is_shrunk_to_the_same(shape: tuple[int, int], seed: int, bright: float) -> None:
    images = np.random.default_rng(seed).random((2, *shape, 3), dtype=np.float32) * np.float32(bright)
    images[1] = bright
    found = thumbs(images)
    assert found.pictures.shape == (2, SIDE, SIDE, 3)
    assert found.pictures[1].mean() == pytest.approx(255 * bright, abs=0.51)
    assert found.pictures[0].mean() == pytest.approx(255 * bright / 2, abs=0.05 * 255 * bright + 0.51)


@pytest.mark.parametrize("shape", [(256, 256), (64, 256), (192, 128)])
def test_pixels_of_the_thumbnail_are_means_over_blocks(shape: tuple[int, int]) -> None:
    images = np.random.default_rng(1).random((2, *shape, 3), dtype=np.float32)
    down, across = shape[0] // SIDE, shape[1] // SIDE
    wanted = images.reshape(2, SIDE, down, SIDE, across, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(shrunk(images, SIDE), wanted, atol=1e-6)


def test_a_hundredth_of_bright_pixels_shows_something() -> None:
    images, hundredth = np.zeros((2, SIDE * SIDE, 3), np.float32), SIDE * SIDE // 100
    images[0, :hundredth, 1] = images[1, : hundredth + 1, 1] = BLANK + 0.01
    assert thumbs(images.reshape(2, SIDE, SIDE, 3)).blank.tolist() == [True, False]


def test_a_slice_is_the_same_alone_as_in_a_stack() -> None:
    images = np.stack([draw(seed, 0.1, 128).image for seed in range(3)]).astype(np.float32) / 255
    together, alone = thumbs(images), Thumbs.joined([thumbs(image[None]) for image in images])
    np.testing.assert_array_equal(alone.pictures, together.pictures)
    np.testing.assert_array_equal(together.only([2]).pictures[0], together.pictures[2])
    assert len(together.only([2])) == 1


def test_what_shows_nothing_is_told_apart_from_a_head() -> None:
    head = draw(1, 0.0, 64).image.astype(np.float32) / 255
    found = thumbs(np.stack([head, head / 16, 0 * head]))
    assert found.blank.tolist() == [False, True, True]


def test_no_slices_have_no_thumbnails() -> None:
    assert len(Thumbs.joined([])) == 0
    assert thumbs(np.empty((0, 64, 64, 3), np.float32)).pictures.shape == (0, SIDE, SIDE, 3)
