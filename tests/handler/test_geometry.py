"""To the network's grid and back: nothing moves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.card import InputSpec
from handler.intensity import to_unit_rgb
from handler.measure import restore
from handler.preprocess import normalise, preprocess, resize, to_grid
from handler.scan import ArraySource, Scan
from prove.drawn.pictures import ramp

SIDES = st.integers(16, 700)


def blob(height: int, width: int, y: float, x: float, radius: float) -> np.ndarray:
    """float32 (h, w): a smooth spot around (y, x), in pixels of which the first has its centre at 0."""
    rows, columns = np.mgrid[:height, :width]
    return np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * radius**2)).astype(np.float32)


def centre(image: np.ndarray) -> tuple[float, float]:
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    return float((rows * image).sum() / image.sum()), float((columns * image).sum() / image.sum())


def scan_of(pixels: np.ndarray) -> Scan:
    return Scan(ArraySource(pixels), (0.0, 255.0), "png", "")


@given(height=SIDES, width=SIDES, down=st.floats(0.35, 0.65), right=st.floats(0.35, 0.65))
def test_the_round_trip_keeps_a_spot_within_half_a_pixel(height: int, width: int, down: float, right: float) -> None:
    spot = blob(height, width, down * (height - 1), right * (width - 1), min(height, width) / 16)
    there = resize(spot[None, ..., None], 256, 256)
    back = restore(np.ascontiguousarray(there[0, ..., 0]), height, width)
    assert back.shape == (height, width)
    assert np.abs(np.subtract(centre(back), centre(spot))).max() < 0.5


@given(height=SIDES, width=SIDES)
def test_the_grids_share_their_edges(height: int, width: int) -> None:
    """A pixel centre at (i + 1/2) / n of the side stays there: no half-pixel drift, which align_corners would bring."""
    spot = blob(height, width, 0.4 * (height - 1), 0.6 * (width - 1), min(height, width) / 12)
    y, x = centre(resize(spot[None, ..., None], 256, 256)[0, ..., 0])
    was_y, was_x = centre(spot)
    assert abs((y + 0.5) / 256 - (was_y + 0.5) / height) < 0.5 / 256
    assert abs((x + 0.5) / 256 - (was_x + 0.5) / width) < 0.5 / 256


@given(height=st.integers(16, 64), width=st.integers(16, 64), value=st.floats(0, 1, width=32))
def test_a_flat_picture_stays_flat(height: int, width: int, value: float) -> None:
    flat = np.full((2, height, width, 3), value, np.float32)
    np.testing.assert_allclose(resize(flat, 96, 32), value, atol=1e-6)
    np.testing.assert_allclose(restore(flat[0, ..., 0], 50, 90), value, atol=1e-6)


@given(height=st.integers(16, 300), width=st.integers(16, 300))
def test_probabilities_stay_within_0_and_1(height: int, width: int) -> None:
    noise = np.random.default_rng(height).random((64, 64), np.float32)
    restored = restore(noise, height, width)
    assert restored.min() >= 0
    assert restored.max() <= 1


def test_equal_size_is_the_identity() -> None:
    image = ramp(256, 256, 3, "float32")
    assert resize(image[None], 256, 256)[0].base is image
    assert restore(image[..., 0], 256, 256).base is image


def test_a_fine_pattern_does_not_alias() -> None:
    noise = np.random.default_rng(0).random((1, 1024, 1024, 1), np.float32)
    there = resize(noise, 256, 256)
    # Averaging over the 4 x 4 pixels and more that fall together; picking four of them would leave 0.14.
    assert there.std() < 0.08
    assert abs(there.mean() - noise.mean()) < 0.001


def test_channels_keep_their_order() -> None:
    images = np.zeros((1, 40, 50, 3), np.float32) + np.array([0.1, 0.5, 0.9], np.float32)
    np.testing.assert_allclose(resize(images, 64, 32), np.broadcast_to([0.1, 0.5, 0.9], (1, 64, 32, 3)), atol=1e-6)


def test_values_are_normalised_channel_by_channel() -> None:
    spec = InputSpec(32, 32, (0.1, 0.2, 0.3), (0.5, 0.25, 2.0))
    rgb = np.full((1, 32, 32, 3), 0.7, np.float32)
    network = normalise(rgb, spec.mean, spec.std)
    assert network.shape == (1, 3, 32, 32)
    assert network.flags.c_contiguous
    np.testing.assert_allclose(network[0, :, 0, 0], [1.2, 2.0, 0.2], rtol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_slice_does_not_depend_on_its_neighbours(channels: int) -> None:
    stack = ramp(4 * 40, 50, channels).reshape(4, 40, 50, channels)
    spec = InputSpec(64, 32)
    together = preprocess(scan_of(stack), spec)
    for index in range(4):
        np.testing.assert_array_equal(preprocess(scan_of(stack), spec, index, index + 1)[0], together[index])
        np.testing.assert_array_equal(preprocess(scan_of(stack[index : index + 1]), spec)[0], together[index])
    assert together.shape == (4, 3, 64, 32)
    assert together.dtype == np.float32


@given(
    height=SIDES, width=SIDES, channels=st.sampled_from([1, 3]), dtype=st.sampled_from(["uint8", "int16", "float32"])
)
def test_channel_by_channel_gives_the_bits_of_all_at_once(height: int, width: int, channels: int, dtype: str) -> None:
    pixels = ramp(2 * height, width, channels, dtype).reshape(2, height, width, channels)
    whole = resize(to_unit_rgb(pixels, (-3.0, 200.0)), 64, 96)
    np.testing.assert_array_equal(to_grid(pixels, InputSpec(64, 96), (-3.0, 200.0)), whole)


def test_grey_feeds_all_three_channels() -> None:
    spec = InputSpec(32, 32, (0, 0, 0), (1, 1, 1))
    network = preprocess(scan_of(ramp(32, 32)[None]), spec)
    np.testing.assert_array_equal(network[0, 0], network[0, 1])
    np.testing.assert_array_equal(network[0, 0], network[0, 2])


def test_a_given_range_replaces_the_one_of_the_scan() -> None:
    spec = InputSpec(32, 32, (0, 0, 0), (1, 1, 1))
    scan = scan_of(np.full((1, 32, 32, 1), 100, np.uint8))
    np.testing.assert_allclose(preprocess(scan, spec, intensity_range=(50, 150)), 0.5, atol=1e-6)
    np.testing.assert_allclose(preprocess(scan, spec), 100 / 255, atol=1e-6)
