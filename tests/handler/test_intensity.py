"""Intensities: one rule per sample type, the file's own tags, the client's range, and the warning for the dark."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.decode import decode
from handler.errors import RequestError
from handler.intensity import RANGES, default_range, to_unit_rgb
from prove.drawn.pictures import ramp, tiff

GREY_SCAN = ramp(16, 16, 1, "uint16")[..., 0]


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("uint8", (0, 255)),
        ("uint16", (0, 65535)),
        ("uint32", (0, 2**32 - 1)),
        ("int8", (0, 127)),
        ("int16", (0, 32767)),
        ("int32", (0, 2**31 - 1)),
        ("float16", (0, 1)),
        ("float32", (0, 1)),
        ("float64", (0, 1)),
    ],
)
def test_rule_of_a_sample_type(dtype: str, expected: tuple[float, float]) -> None:
    assert default_range(np.dtype(dtype)) == expected
    page = ramp(16, 16, 1, dtype)[..., 0]
    assert decode(tiff(page)).intensity_range == expected


@pytest.mark.parametrize(("dtype", "bits", "top"), [("uint16", 12, 4095), ("uint8", 1, 1), ("uint32", 24, 2**24 - 1)])
def test_fewer_bits_than_the_type_holds(dtype: str, bits: int, top: int) -> None:
    assert default_range(np.dtype(dtype), bits) == (0, top)


@pytest.mark.parametrize("dtype", ["int64", "uint64", "complex64", "bool", "S4"])
def test_types_without_a_rule(dtype: str) -> None:
    with pytest.raises(RequestError, match="expected one of") as refusal:
        default_range(np.dtype(dtype))
    assert refusal.value.code == "unsupported_format"


@pytest.mark.parametrize("dtype", list(RANGES))
def test_the_ends_of_the_rule_are_black_and_white(dtype: str) -> None:
    low, high = RANGES[dtype]
    ends = np.array([low, high]).astype(dtype).reshape(1, 1, 2, 1)
    np.testing.assert_array_equal(to_unit_rgb(ends, RANGES[dtype])[0, 0], [[0, 0, 0], [1, 1, 1]])


@given(
    low=st.floats(-1e6, 1e6),
    span=st.floats(1e-3, 1e6),
    values=st.lists(st.floats(-1e7, 1e7, width=32), min_size=1, max_size=20),
)
def test_unit_is_within_0_and_1_and_keeps_the_order(low: float, span: float, values: list[float]) -> None:
    pixels = np.sort(np.array(values, np.float32)).reshape(1, 1, -1, 1)
    unit = to_unit_rgb(pixels, (low, low + span))
    assert unit.dtype == np.float32
    assert unit.min() >= 0
    assert unit.max() <= 1
    assert (np.diff(unit[0, 0, :, 0]) >= 0).all()


@given(low=st.floats(-9e29, 9e29), high=st.floats(-9e29, 9e29), seed=st.integers(0, 99))
def test_any_permitted_range_gives_finite_numbers(low: float, high: float, seed: int) -> None:
    if not high - low > 1e-30:
        low, high = high, low
    if not high - low > 1e-30:
        high = low + max(1.0, abs(low) * 1e-3)
    extremes = np.array([0, 1, -3.4e38, 3.4e38, low, high], np.float32).reshape(1, 1, -1, 1)
    unit = to_unit_rgb(extremes, (low, high))
    assert np.isfinite(unit).all()
    assert 0 <= unit.min() <= unit.max() <= 1


def test_colours_are_kept_and_grey_is_repeated() -> None:
    rgb = ramp(4, 5, 3)[None]
    np.testing.assert_allclose(to_unit_rgb(rgb, (0, 255)), rgb / 255, atol=1e-6)
    grey = ramp(4, 5, 1)[None]
    np.testing.assert_allclose(to_unit_rgb(grey, (0, 255)), np.repeat(grey / 255, 3, axis=-1), atol=1e-6)


def test_the_rule_never_looks_at_the_pixels() -> None:
    dark, bright = GREY_SCAN >> 8, GREY_SCAN
    assert decode(tiff(dark)).intensity_range == decode(tiff(bright)).intensity_range == (0, 65535)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ([(281, "H", 1, 4095, True)], (0, 4095)),
        ([(280, "H", 1, 100, True)], (100, 65535)),
        ([(280, "H", 1, 100, True), (281, "H", 1, 2000, True)], (100, 2000)),
        ([(340, "d", 1, -5.5, True), (341, "d", 1, 700.25, True)], (-5.5, 700.25)),
        ([(280, "H", 1, 1, True), (281, "H", 1, 9, True), (340, "H", 1, 3, True), (341, "H", 1, 7, True)], (3, 7)),
    ],
)
def test_tags_of_the_file(tags: list[tuple[object, ...]], expected: tuple[float, float]) -> None:
    scan = decode(tiff(GREY_SCAN, tags))
    assert scan.intensity_range == expected
    assert [w.code for w in scan.warnings] == ["grey_input"]


def test_tags_of_several_samples_span_them_all() -> None:
    tags = [(280, "H", 3, (5, 3, 4), True), (281, "H", 3, (100, 200, 150), True)]
    assert decode(tiff(ramp(16, 16, 3), tags, photometric="rgb")).intensity_range == (3, 200)


@pytest.mark.parametrize(
    "tags",
    [
        [(280, "H", 1, 9, True), (281, "H", 1, 9, True)],
        [(280, "H", 1, 9, True), (281, "H", 1, 3, True)],
        [(341, "d", 1, float("nan"), True)],
        [(340, "d", 1, float("-inf"), True)],
        # float32, in which the samples are scaled, would make NaN of these
        [(340, "d", 1, 0.0, True), (341, "d", 1, 1e-45, True)],
        [(340, "d", 1, -1e308, True), (341, "d", 1, 1e308, True)],
        [(340, "d", 1, 1e39, True), (341, "d", 1, 2e39, True)],
    ],
)
def test_tags_that_make_no_range_are_ignored_with_a_warning(tags: list[tuple[object, ...]]) -> None:
    scan = decode(tiff(GREY_SCAN, tags))
    assert scan.intensity_range == (0, 65535)
    assert "range_tags_ignored" in [w.code for w in scan.warnings]


@given(st.floats(), st.floats())
def test_whatever_the_tags_say_ordinary_samples_come_out_between_0_and_1(low: float, high: float) -> None:
    scan = decode(tiff(GREY_SCAN, [(340, "d", 1, low, True), (341, "d", 1, high, True)]))
    unit = to_unit_rgb(scan.pixels, scan.intensity_range)
    assert unit.min() >= 0  # false for NaN
    assert unit.max() <= 1


def test_a_text_where_the_range_should_be_is_refused() -> None:
    with pytest.raises(RequestError) as refusal:
        decode(tiff(GREY_SCAN, [(281, "s", 0, "white", True)]))
    assert refusal.value.code == "corrupt_image"
