"""Known answers: what counts as the same, on a CPU and beside a GPU."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from archive.inputs import sample_files
from archive.known import difference, digest_answer, misjudged, record
from handler.pipeline import open_model
from tests.detector import write_detector


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


@pytest.mark.parametrize(
    ("threshold", "wrong"),
    [
        (0.5, []),
        (0.0001, ["healthy.png: tumor_detected, drawn for no_tumor_detected"]),
        (
            0.9999,
            [
                "lesion.png: no_tumor_detected, drawn for tumor_detected",
                "stack.tiff: no_tumor_detected, drawn for tumor_detected",
            ],
        ),
    ],
)
def test_samples_with_another_verdict_than_they_were_drawn_for(
    threshold: float, wrong: list[str], tmp_path: Path
) -> None:
    write_detector(tmp_path, "1.0")
    model = open_model(tmp_path / "brainseg-1.0", "torch", 1)
    model = replace(model, card=model.card.with_changes(threshold=threshold))
    assert misjudged(record(model, sample_files())) == wrong
