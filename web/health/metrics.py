"""What the front door counts, for Prometheus, by its own client library. One process with threads: functions behind
gauges would come to nothing in several."""

from __future__ import annotations

import platform
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from web.contract.fields import HTTP_PROBLEMS, PROBLEMS, REASONS

KIND = CONTENT_TYPE_PLAIN_0_0_4
SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
BYTES = (1e4, 1e5, 1e6, 4e6, 16e6, 64e6)
ROUTES = ("api.segment", "explain.explain", "types.classify")  # whose series begin at zero
Rows = list[tuple[dict[str, str], float]]
disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each counter, which nobody asks for


def build_version() -> str:
    """Of the checkout that this file is in."""
    try:
        return str(tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]["version"])
    except (OSError, ValueError, KeyError):
        return "unknown"


class _Family(Collector):
    """A gauge whose sets of labels come and go."""

    def __init__(self, name: str, about: str, labels: tuple[str, ...], read: Callable[[], Rows]) -> None:
        self._name, self._about, self._labels, self._read = name, about, labels, read

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(self._name, self._about, labels=self._labels)
        for labels, value in self._read():
            family.add_metric([labels[name] for name in self._labels], value)
        yield family

    def describe(self) -> Iterable[Metric]:
        return [GaugeMetricFamily(self._name, self._about, labels=self._labels)]


class Metrics:
    """Label values must come from small sets. Safe to use from several threads."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "brainseg_front_requests", "Requests by what became of them", ("route", "code"), registry=self._registry
        )
        self._refused = Counter(
            "brainseg_front_refused", "Scans that were not assessed, by the main reason",
            ("reason", "model_version"), registry=self._registry,
        )  # fmt: skip
        self._restarts = Counter(
            "brainseg_front_worker_restarts", "Workers that came back as another process", ("model_version",),
            registry=self._registry,
        )  # fmt: skip
        self._retries = Counter("brainseg_front_retries", "Second tries after a worker died", registry=self._registry)
        self._closed = Counter(
            "brainseg_front_closed", "Connections that were closed, and why", ("why",), registry=self._registry
        )
        self._seconds = Histogram(
            "brainseg_front_segment_seconds", "Segmentations, from headers to answer", ("model_version",),
            buckets=SECONDS, registry=self._registry,
        )  # fmt: skip
        self._scans = Histogram("brainseg_front_scan_bytes", "Sizes of scans", buckets=BYTES, registry=self._registry)
        self._answers = Counter(
            "brainseg_front_segmentations", "Answers to scans by the version asked and what became of them",
            ("model_version", "code"), registry=self._registry,
        )  # fmt: skip
        build = Gauge(
            "brainseg_front_build_info", "Always 1; which build runs", ("version", "python"), registry=self._registry
        )
        build.labels(build_version(), platform.python_version()).set(1)
        ProcessCollector(registry=self._registry)
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """A series that begins with its first event hides it: ``increase()`` sees no change in it."""
        for code in ("ok", "gone", *PROBLEMS):
            for route in ROUTES:
                self._requests.labels(route, code)
        for code in (*PROBLEMS, *HTTP_PROBLEMS):
            self._requests.labels("door", code)
        for why in ("unread", "crowded"):
            self._closed.labels(why)

    def begin(self, version: str) -> None:
        """Has the series of ``version`` begin, likewise: to be called as soon as it is known."""
        for reason in (*REASONS, "other"):
            self._refused.labels(reason, version)
        self._seconds.labels(version)
        self._answers.labels(version, "ok")

    def count_request(self, route: str, code: str) -> None:
        self._requests.labels(route, code).inc()

    def count_answer(self, version: str, code: str) -> None:
        """``version``: one that is served, or ``none`` where the request never came so far."""
        self._answers.labels(version, code).inc()

    def count_refused(self, reason: str, version: str) -> None:
        """``version``: as for :meth:`count_answer`."""
        self._refused.labels(reason, version).inc()

    def count_restarts(self, version: str, number: int) -> None:
        """``number``: 0 has the series begin before its first event."""
        self._restarts.labels(version).inc(number)

    def count_retry(self) -> None:
        self._retries.inc()

    def count_closed(self, why: str) -> None:
        self._closed.labels(why).inc()

    def observe_segment(self, seconds: float, version: str) -> None:
        """``version``: as for :meth:`count_answer`."""
        self._seconds.labels(version).observe(seconds)

    def observe_scan(self, size: int) -> None:
        self._scans.observe(size)

    def counter(self, name: str, about: str, labels: tuple[str, ...]) -> Counter:
        """A counter of whoever asks for it."""
        return Counter(name, about, labels, registry=self._registry)

    def histogram(self, name: str, about: str, labels: tuple[str, ...], buckets: tuple[float, ...]) -> Histogram:
        """A histogram of whoever asks for it."""
        return Histogram(name, about, labels, buckets=buckets, registry=self._registry)

    def gauge(self, name: str, about: str, read: Callable[[], float]) -> None:
        """``read`` is called for every exposition."""
        Gauge(name, about, registry=self._registry).set_function(read)

    def gauges(self, name: str, about: str, labels: tuple[str, ...], read: Callable[[], Rows]) -> None:
        """Like :meth:`gauge`, for a value with each set of ``labels``."""
        self._registry.register(_Family(name, about, labels, read))

    def text(self) -> bytes:
        """The exposition."""
        return generate_latest(self._registry)
