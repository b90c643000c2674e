"""Whether a canary is worse than the live version: five figures, one false alarm rate."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from exchange.outcome import Outcome
from rollout.check import joined
from rollout.limits import CanaryLimits
from rollout.trial.evidence import Beyond, Comparison, Judge, Rank

KEPT = 2000  # of the latest times, for the percentiles that are shown


@dataclass
class Arm:
    """What one of the two has shown so far; ``times``: the latest seconds in the handler."""

    requests: int = 0
    faults: int = 0
    tumor: int = 0
    assessed: int = 0
    refused: int = 0
    judged: int = 0
    coverage: float = 0.0
    covered: int = 0
    times: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))

    def add(self, one: Outcome) -> None:
        self.requests += 1
        self.faults += one.fault
        if one.tumor is not None:
            self.assessed, self.tumor = self.assessed + 1, self.tumor + one.tumor
        if one.refused is not None:
            self.judged, self.refused = self.judged + 1, self.refused + one.refused
        if one.coverage is not None:
            self.covered, self.coverage = self.covered + 1, self.coverage + one.coverage
        if one.seconds is not None:
            self.times.append(one.seconds)

    def figures(self) -> dict[str, float | None]:
        """Shares 0..1, ``p95_seconds`` in the handler; None where nothing is known."""
        ranked = sorted(self.times)
        return {
            "requests": float(self.requests),
            "error_rate": _share(self.faults, self.requests),
            "p95_seconds": ranked[min(int(0.95 * len(ranked)), len(ranked) - 1)] if ranked else None,
            "tumor_share": _share(self.tumor, self.assessed),
            "refused_share": _share(self.refused, self.judged),
            "coverage_place": _share(self.coverage, self.covered),
        }


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


# The figure of an arm that each comparison is about.
SHOWN = {
    "error rate": "error_rate",
    "latency": "p95_seconds",
    "verdicts": "tumor_share",
    "gate refusals": "refused_share",
    "coverage": "coverage_place",
}


class Analysis:
    """Give it the outcomes in their order. With chance alpha at most, over all looks at all five figures (each has a
    fifth of alpha), it stops a canary that keeps the margins of ``limits``: by chance being what sends a request to the
    one version or the other."""

    def __init__(self, limits: CanaryLimits) -> None:
        self.candidate, self.live = Arm(), Arm()
        self._comparisons = {
            "error rate": Comparison(limits.error_rate_rise, [Judge()]),
            "latency": Comparison(0.0, [Beyond(), Rank()], scale=limits.latency_ratio),
            "verdicts": Comparison(limits.verdict_shift, [Judge()], both=True),
            "gate refusals": Comparison(limits.refusal_shift, [Judge()], both=True),
            "coverage": Comparison(limits.coverage_shift, [Rank()], both=True),
        }
        self._alpha = limits.false_alarms / len(self._comparisons)

    def add(self, one: Outcome) -> None:
        (self.candidate if one.candidate else self.live).add(one)
        values = (
            ("error rate", float(one.fault)), ("latency", one.seconds), ("verdicts", one.tumor),
            ("gate refusals", one.refused), ("coverage", one.coverage),
        )  # fmt: skip
        for name, value in values:
            if value is not None:
                self._comparisons[name].add(one.candidate, float(value))

    def breach(self) -> str:
        """Which figures differ beyond chance and margin, in words; empty while none does."""
        found = [name for name, one in self._comparisons.items() if one.log_capital >= -math.log(self._alpha)]
        if not found:
            return ""
        ours, theirs = self.candidate.figures(), self.live.figures()
        over = f"over {self.candidate.requests} and {self.live.requests} requests"
        return joined(
            *(
                f"{name}: {_said(ours[SHOWN[name]])} (live {_said(theirs[SHOWN[name]])}) {over}, "
                f"chance of a false alarm {self._alpha:g}"
                for name in found
            )
        )

    def figures(self) -> dict[str, Any]:
        """For the history. ``evidence``: of each comparison, 1 where it would stop the canary, 0 and below: none."""
        told: dict[str, Any] = {f"canary_{name}": value for name, value in self.candidate.figures().items()}
        told |= {f"canary_live_{name}": value for name, value in self.live.figures().items()}
        evidence = {name: one.log_capital / -math.log(self._alpha) for name, one in self._comparisons.items()}
        return told | {"canary_evidence": {name: round(value, 3) for name, value in evidence.items()}}


def _said(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
