"""What a scan's samples say about its intensity range, and what a client is told of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.survey import Survey, survey, survey_warnings
from prove.drawn.pictures import ramp

GREY_SCAN = ramp(64, 64, 1, "uint16")[..., 0]


class TestNearlyBlack:
    def test_twelve_bits_read_as_sixteen(self) -> None:
        pixels = (GREY_SCAN >> 4)[None, ..., None]
        assert survey(pixels, (0, 65535)).nearly_black
        assert not survey(pixels, (0, 4095)).nearly_black

    @pytest.mark.parametrize(("bright", "expected"), [(0, True), (9, True), (10, False), (1000, False)])
    def test_one_in_a_thousand_is_enough(self, bright: int, expected: bool) -> None:
        pixels = np.zeros((2, 50, 100, 1), np.uint8)
        pixels.reshape(-1)[:bright] = 26  # just above a tenth of 255
        assert survey(pixels, (0, 255)).nearly_black is expected

    def test_floats_and_negative_ranges(self) -> None:
        pixels = np.full((1, 16, 16, 3), -500.0, np.float32)
        assert survey(pixels, (-500, 500)).nearly_black
        assert not survey(pixels, (-1000, 0)).nearly_black


@given(
    samples=st.lists(st.integers(-128, 127), min_size=1, max_size=30),
    low=st.floats(-300, 300, width=32),
    span=st.floats(0.125, 4000, width=32),
)
def test_whole_numbers_are_counted_as_floats_would_be(samples: list[int], low: float, span: float) -> None:
    whole = np.array(samples, np.int8)[None, None, :, None]
    expected = survey(whole.astype(np.float64), (low, low + span)).bright
    assert survey(whole, (low, low + span)).bright == expected


@given(cuts=st.lists(st.integers(0, 40), min_size=1, max_size=4), dtype=st.sampled_from(["float32", "uint16"]))
def test_pages_one_by_one_say_what_the_stack_says(cuts: list[int], dtype: str) -> None:
    stack = ramp(40 * 16, 16, 3, dtype).reshape(40, 16, 16, 3)
    parts = np.split(stack, sorted(cuts))
    together = Survey()
    for part in parts:
        together = together.and_of(survey(part, (0.2, 0.9)))
    assert together == survey(stack, (0.2, 0.9))


class TestOutOfRange:
    @pytest.mark.parametrize(
        ("low", "high", "send"),
        [
            (0.0, 255.0, "0,255"),
            (3.0, 97.5, "0,255"),
            (-1.25, 6.5, "-1.25,6.5"),
            (0.0, 4095.0, "0,4095"),
            (-1, 0.5, "-1,0.5"),
        ],
    )
    def test_says_what_was_seen_and_what_to_send(self, low: float, high: float, send: str) -> None:
        pixels = np.linspace(low, high, 16 * 16, dtype=np.float32).reshape(1, 16, 16, 1)
        (told,) = survey_warnings(survey(pixels, (0.0, 1.0)), (0.0, 1.0), asked=False)
        assert told.code == "out_of_range"
        assert f"from {low:g} to {high:g}" in told.detail
        assert told.detail.endswith(f"intensity_range={send}")

    @pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-0.009, 1.009), (0.4, 0.5)])
    def test_says_nothing_within_the_range(self, low: float, high: float) -> None:
        pixels = np.linspace(low, high, 16 * 16, dtype=np.float32).reshape(1, 16, 16, 1)
        assert survey_warnings(survey(pixels, (0.0, 1.0)), (0.0, 1.0), asked=False) == ()

    def test_who_gives_a_range_may_clip(self) -> None:
        pixels = np.linspace(-5, 5, 256, dtype=np.float32).reshape(1, 16, 16, 1)
        assert survey_warnings(survey(pixels, (0.0, 1.0)), (0.0, 1.0), asked=True) == ()
        assert survey_warnings(survey(pixels, (0.0, 2.0)), (0.0, 2.0), asked=False) == ()

    def test_integers_are_bounded_by_their_type(self) -> None:
        assert survey_warnings(survey(ramp(16, 16, 1, "uint16")[None], (0, 65535)), (0, 65535), asked=False) == ()
