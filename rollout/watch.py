"""A version that was promoted, watched against the record of the one before it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from archive.verify import Release
from rollout.check import joined
from rollout.counters import Counters, read_counters
from rollout.limits import WatchLimits
from rollout.parity import ask
from rollout.server import TorchServe

FEWEST_FAILURES = 3  # one lost request is chance
NAP_SECONDS = 2.0


@dataclass(frozen=True)
class Record:
    """What the version before is known by: the share of its answers that were faults, and the p95 in its handler,
    seconds."""

    error_rate: float
    p95_seconds: float
    requests: float


def record_of(server: TorchServe, version: str, gate_p95: float, enough: int) -> Record:
    """The record of ``version`` since the server started. With fewer than ``enough`` requests its p95 is the one that
    the gate measured, ``gate_p95`` seconds."""
    counters = read_counters(server.metrics(), version)
    p95 = counters.p95() if counters.answered >= enough else None
    return Record(counters.faults / max(counters.answered, 1.0), gate_p95 if p95 is None else p95, counters.answered)


def _under_way(server: TorchServe, version: str) -> float:
    """Most requests that may have arrived and have no answer yet: the queue, and one a worker."""
    found = server.version(version)
    return found.pending + max(1, len(found.pids)) if found else 1.0


@dataclass
class Seen:
    """What the watch saw. ``breach``: why the version must go, empty while it may stay."""

    seconds: float = 0.0
    requests: float = 0.0
    failed: float = 0.0
    p95_seconds: float | None = None
    probes: int = 0
    failed_probes: int = 0
    breach: str = ""

    def figures(self) -> dict[str, Any]:
        """For the history."""
        return {f"watch_{name}": value for name, value in asdict(self).items() if name != "breach"}


class Watch:
    """One version on trial. ``record``: of the version before it; ``renew``: called all the while."""

    def __init__(
        self, server: TorchServe, release: Release, record: Record, limits: WatchLimits, renew: Callable[[], None]
    ) -> None:
        self._server = server
        self._release = release
        self._record = record
        self._limits = limits
        self._renew = renew
        self._begin = time.monotonic()
        self._looks = [read_counters(server.metrics(), release.version, live=True)]
        self._next_probe = 0.0
        self._probe_row = 0
        self._failing_row = 0
        self.seen = Seen()

    def run(self, tell: Callable[[Seen], None]) -> Seen:
        """Watches until the time is over or a limit is broken; ``tell`` is called after each look. Raises
        :class:`NoServerError` when the server ends."""
        self._begin = time.monotonic()
        while not self.seen.breach and (left := self._begin + self._limits.seconds - time.monotonic()) > 0:
            self._nap(min(left, self._limits.every_seconds))
            self._look()
            self._renew()
            self._probe()
            tell(self.seen)
        return self.seen

    def _nap(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        self._renew()
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, NAP_SECONDS))
            self._renew()

    def _look(self) -> None:
        version, seen = self._release.version, self.seen
        before = _under_way(self._server, version)
        self._looks.append(read_counters(self._server.metrics(), version, live=True))
        under_way = max(before, _under_way(self._server, version))
        whole = self._looks[-1].since(self._looks[0])
        seen.seconds = time.monotonic() - self._begin
        seen.requests, seen.failed, seen.p95_seconds = whole.arrived, whole.failed(under_way), whole.p95()
        failing = self._failing(self._recent(), under_way)
        # Answers are counted a moment after they were given: only what is still missing at the next look is lost.
        self._failing_row = self._failing_row + 1 if failing else 0
        seen.breach = joined(failing if self._failing_row > 1 else "", self._slow(whole))

    def _recent(self) -> Counters:
        """The latest requests, as few looks as hold ``min_requests``: a version that starts to fail after hours must
        not be saved by its past."""
        for earlier in reversed(self._looks[:-1]):
            recent = self._looks[-1].since(earlier)
            if recent.arrived >= self._limits.min_requests:
                return recent
        return self._looks[-1].since(self._looks[0])

    def _failing(self, recent: Counters, under_way: float) -> str:
        failed = recent.failed(under_way)
        rate = failed / max(recent.arrived, 1.0)
        most = self._record.error_rate + self._limits.error_rate_rise
        if recent.arrived < self._limits.min_requests or failed < FEWEST_FAILURES or rate <= most:
            return ""
        return f"{failed:.0f} of the last {recent.arrived:.0f} requests failed ({rate:.1%}; limit {most:.1%})"

    def _slow(self, whole: Counters) -> str:
        p95, most = whole.p95(), self._limits.p95_ratio * self._record.p95_seconds
        if p95 is None or whole.answered < self._limits.min_requests or p95 <= most:
            return ""
        return (
            f"p95 {p95:.3f} s is above {most:.3f} s, {self._limits.p95_ratio:g} times the record of the version before"
        )

    def _probe(self) -> None:
        if time.monotonic() < self._next_probe or self.seen.breach:
            return
        self._next_probe = time.monotonic() + self._limits.probe_seconds
        self.seen.probes += 1
        wrong = ask(self._server, self._release.card, self._release.samples, next(iter(self._release.samples)))
        self._probe_row = self._probe_row + 1 if wrong else 0
        if wrong:
            self.seen.failed_probes += 1
            self._next_probe = time.monotonic()  # soon again: is it chance?
        if self._probe_row >= self._limits.failed_probes:
            self.seen.breach = f"{self._probe_row} known answers in a row failed: {wrong}"
