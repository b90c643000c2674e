"""Known answers: what counts as the same, on a CPU and beside a GPU."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.tools.known import difference, digest_answer


def answer(pixels: int = 1000, probability: float = 0.99, verdict: str = "tumor_detected") -> dict[str, Any]:
    slices = [{"tumor_pixels": pixels, "max_probability": probability}]
    return {"input": {"sha256": "1"}, "verdict": verdict, "tumor_pixels": pixels, "slices": slices}


@pytest.mark.parametrize(
    ("found", "full", "half"),
    [
        (answer(1005, 0.9905), True, True),
        (answer(1006), False, True),
        (answer(1050), False, True),
        (answer(1051), False, False),
        (answer(probability=0.9885), False, True),
        (answer(probability=0.969), False, False),
        (answer(verdict="no_tumor_detected"), False, False),
        ({**answer(), "input": {"sha256": "2"}}, False, False),
    ],
)
def test_half_precision_may_differ_more_and_nothing_else(found: dict[str, Any], full: bool, half: bool) -> None:
    known = digest_answer(answer())
    assert (difference(known, found, half=False) is None) == full
    assert (difference(known, found, half=True) is None) == half
