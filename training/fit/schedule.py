"""The learning rate over a run, as a factor of its peak."""

from __future__ import annotations

import math

# One-cycle starts at a twenty-fifth of the peak and ends at a ten-thousandth (Smith and Topin, 2018).
_START, _END = 0.04, 1e-4


def factor(schedule: str, step: int, total: int, warm_up: float) -> float:
    """Factor in 0..1 at `step` of `total`; `warm_up` is the share of steps until the peak."""
    if schedule == "constant":
        return 1.0
    done = min(step / max(total, 1), 1.0)
    if schedule == "onecycle" and done < warm_up:
        return _cosine(_START, 1.0, done / warm_up)
    start = warm_up if schedule == "onecycle" else 0.0
    return _cosine(1.0, _END, (done - start) / max(1 - start, 1e-9))


def _cosine(first: float, last: float, share: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2
