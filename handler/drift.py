"""What of a scan is counted so that a changed scanner or protocol shows: histograms over its slices, and nothing else.

The front door sums them up over many scans and compares them with those of the validation slices, which
:mod:`training.release.drift` makes by this same way."""

from __future__ import annotations

import bisect
import json
from collections.abc import Iterable
from typing import Any

from handler.answer import Summary
from handler.trust.report import Trust

HEADER = "X-BrainSeg-Counted"
FORMAT = 1  # of the bins: counts of different formats must not be compared
# Upper ends, each in its bin; above the last there is one bin more.
COVERAGE_PERCENT = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
TENTHS = tuple(step / 10 for step in range(1, 10))
VERDICTS = ("tumor", "no_tumor", "not_assessed")


def _bin(value: float, ends: tuple[float, ...]) -> int:
    return bisect.bisect_left(ends, value)


def _none() -> dict[str, list[int]]:
    return {
        "coverage_percent": [0] * (len(COVERAGE_PERCENT) + 1),
        "max_probability": [0] * (len(TENTHS) + 1),
        "score": [0] * (len(TENTHS) + 1),
        "verdict": [0] * len(VERDICTS),
    }


def counts(summary: Summary, trust: Trust) -> dict[str, list[int]]:
    """How many slices of a scan fall into each bin, by quantity: ``coverage_percent`` and ``max_probability`` of those
    that were assessed, ``score`` of those that the gate has judged, ``verdict`` (:data:`VERDICTS`) of all."""
    found = _none()
    for measured, judged in zip(summary.slices, trust.slices, strict=True):
        if judged.score is not None:
            found["score"][_bin(judged.score, TENTHS)] += 1
        if not trust.assessed(measured.index):
            found["verdict"][2] += 1
            continue
        found["verdict"][0 if measured.tumor_pixels else 1] += 1
        found["coverage_percent"][_bin(measured.coverage_percent, COVERAGE_PERCENT)] += 1
        found["max_probability"][_bin(measured.max_probability, TENTHS)] += 1
    return found


def counted(version: str, summary: Summary, trust: Trust) -> dict[str, str]:
    """The header that carries :func:`counts` to the front door, which takes it off."""
    return _header(version, counts(summary, trust))


def counted_refused(version: str, trust: Trust, slices: Iterable[int]) -> dict[str, str]:
    """As :func:`counted`, of ``slices`` by index that get no mask, where that is all the answer."""
    found = _none()
    for index in slices:
        if (score := trust.slices[index].score) is not None:
            found["score"][_bin(score, TENTHS)] += 1
        found["verdict"][2] += 1
    return _header(version, found)


def _header(version: str, found: dict[str, list[int]]) -> dict[str, str]:
    content: dict[str, Any] = {"format": FORMAT, "version": version, "counts": found}
    return {HEADER: json.dumps(content, separators=(",", ":"))}
