"""TorchServe's metrics of one version: how many requests it got, how many it failed, how long it took."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

# Answers that are our fault. Any other code is the client's, and says nothing about a version.
FAULTS = ("internal_error", "out_of_memory", "timeout")
_LINE = re.compile(r"^(\w+)\{([^}]*)\}\s+(\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Counters:
    """Since TorchServe started. ``arrived``: requests TorchServe took; ``answered``: those the handler answered,
    ``faults`` of them with a fault of ours; ``buckets``: answered within so many seconds, cumulative as Prometheus has
    it."""

    arrived: float
    answered: float
    faults: float
    buckets: Mapping[float, float]

    def since(self, earlier: Counters) -> Counters:
        """What came after ``earlier``."""
        buckets = {edge: count - earlier.buckets.get(edge, 0) for edge, count in self.buckets.items()}
        return Counters(
            self.arrived - earlier.arrived, self.answered - earlier.answered, self.faults - earlier.faults, buckets
        )

    def failed(self, waiting: float) -> float:
        """Requests that failed: answered with a fault, or lost with their worker. ``waiting``: those still under
        way."""
        return self.faults + max(0.0, self.arrived - self.answered - waiting)

    def p95(self) -> float | None:
        """Seconds in the handler within which 95 % were answered, interpolated in its bucket; None without a request,
        the last edge when it is beyond all."""
        total = self.buckets.get(math.inf, 0.0)
        if total <= 0:
            return None
        low, below = 0.0, 0.0
        for edge, count in sorted(self.buckets.items()):
            if count >= 0.95 * total:
                return low if math.isinf(edge) else low + (edge - low) * (0.95 * total - below) / (count - below)
            low, below = edge, count
        return low


def read_counters(text: str, version: str, live: bool = False) -> Counters:
    """The counters of ``version`` in the exposition ``text``.

    TorchServe counts a request that names no version as one to ``default``, whatever that was at the time. Such
    requests count for ``version`` when it is ``live``: then only differences between times at which it was live mean
    something."""
    names = (version, "default") if live else (version,)
    arrived = answered = faults = 0.0
    buckets: dict[float, float] = {}
    for line in text.splitlines():
        match = _LINE.match(line)
        labels = dict(_LABEL.findall(match[2])) if match else {}
        if match is None or labels.get("model_version") not in names:
            continue
        value = float(match[3])
        if match[1] == "ts_inference_requests_total":
            arrived += value
        elif match[1] == "brainseg_requests":
            answered += value
            faults += value if labels.get("code") in FAULTS else 0
        elif match[1] == "brainseg_stage_seconds_bucket" and labels.get("stage") == "total":
            edge = float(labels["le"])
            buckets[edge] = buckets.get(edge, 0) + value
    return Counters(arrived, answered, faults, buckets)
