"""Counters, gauges and histograms in Prometheus' text format, version 0.0.4."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

KIND = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
BYTES = (1e4, 1e5, 1e6, 4e6, 16e6, 64e6)
Labels = tuple[tuple[str, str], ...]


def _labels(labels: Labels) -> str:
    pairs = ",".join(
        '{}="{}"'.format(name, value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n"))
        for name, value in labels
    )
    return f"{{{pairs}}}" if pairs else ""


@dataclass
class _Histogram:
    buckets: list[int]
    total: float = 0.0


class Metrics:
    """Names are declared by use; label values must come from small sets. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: dict[str, dict[Labels, float]] = defaultdict(lambda: defaultdict(float))
        self._histograms: dict[str, dict[Labels, _Histogram]] = defaultdict(dict)
        self._edges: dict[str, tuple[float, ...]] = {}
        self._gauges: dict[str, Callable[[], float]] = {}
        self._families: dict[str, Callable[[], list[tuple[dict[str, str], float]]]] = {}

    def count(self, name: str, labels: Mapping[str, str] | None = None) -> None:
        """Adds one to the counter ``name``, which should end in ``_total``."""
        with self._lock:
            self._counters[name][tuple((labels or {}).items())] += 1

    def observe(
        self, name: str, value: float, edges: tuple[float, ...], labels: Mapping[str, str] | None = None
    ) -> None:
        """Adds ``value`` to the histogram ``name``, whose buckets end at ``edges``."""
        key = tuple((labels or {}).items())
        with self._lock:
            self._edges[name] = edges
            histogram = self._histograms[name].setdefault(key, _Histogram([0] * (len(edges) + 1)))
            histogram.buckets[next((i for i, edge in enumerate(edges) if value <= edge), len(edges))] += 1
            histogram.total += value

    def gauge(self, name: str, read: Callable[[], float]) -> None:
        """``read`` is called for every exposition."""
        self._gauges[name] = read

    def gauges(self, name: str, read: Callable[[], list[tuple[dict[str, str], float]]]) -> None:
        """Like :meth:`gauge`, for a value with each set of labels."""
        self._families[name] = read

    def text(self) -> str:
        """The exposition."""
        with self._lock:
            lines = [*self._counter_lines(), *self._histogram_lines()]
        for name, read in self._gauges.items():
            lines += [f"# TYPE {name} gauge", f"{name} {read():g}"]
        for name, read_all in self._families.items():
            lines.append(f"# TYPE {name} gauge")
            lines += [f"{name}{_labels(tuple(labels.items()))} {value:.15g}" for labels, value in read_all()]
        return "\n".join(lines) + "\n"

    def _counter_lines(self) -> list[str]:
        lines = []
        for name, series in self._counters.items():
            lines.append(f"# TYPE {name} counter")
            lines += [f"{name}{_labels(labels)} {value:g}" for labels, value in series.items()]
        return lines

    def _histogram_lines(self) -> list[str]:
        lines = []
        for name, series in self._histograms.items():
            lines.append(f"# TYPE {name} histogram")
            for labels, histogram in series.items():
                seen = 0
                for edge, count in zip((*self._edges[name], None), histogram.buckets, strict=True):
                    seen += count
                    end = "+Inf" if edge is None else f"{edge:g}"
                    lines.append(f"{name}_bucket{_labels((*labels, ('le', end)))} {seen}")
                lines += [f"{name}_sum{_labels(labels)} {histogram.total:g}", f"{name}_count{_labels(labels)} {seen}"]
        return lines
