"""How long two versions take for the same scan, measured side by side.

The machine's cores are shared: a version that is asked alone, while the other idles, looks faster than it is. So both
are kept busy all the time, whoever else asks the live one. And the live one may have a queue, the candidate never: so
what is compared is the time in the handler, as its answer states it, and for the candidate also what it hides from
that."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import requests

from rollout.check import Check, above, joined
from rollout.errors import GateError, NoServerError
from rollout.limits import LatencyLimits
from rollout.server import TorchServe

FEWEST = 5  # samples below which nothing can be said
RETRY_SECONDS = 0.2


@dataclass
class Times:
    """Seconds of the requests so far: ``handler`` as the answers state them, ``client`` as measured here."""

    handler: list[float] = field(default_factory=list)
    client: list[float] = field(default_factory=list)
    fault: str = ""

    def counted(self, overhead_seconds: float) -> list[float]:
        """The handler's time, or what the client saw less ``overhead_seconds`` where that is more."""
        return [max(h, c - overhead_seconds) for h, c in zip(self.handler, self.client, strict=True)]


def _ask(server: TorchServe, version: str, scan: bytes, times: Times, seconds: float) -> None:
    begin = time.monotonic()
    reply = server.predict(scan, version, seconds=seconds)
    took = time.monotonic() - begin
    if not reply.ok:
        times.fault = f"status {reply.status_code}: {reply.text[:200]}"
        return
    times.handler.append(sum(reply.json()["timing_ms"].values()) / 1000)
    times.client.append(took)


def _loop(
    server: TorchServe, version: str, scan: bytes, times: Times, done: Callable[[], bool], seconds: float
) -> None:
    deadline = time.monotonic() + seconds
    while not done() and (left := deadline - time.monotonic()) > 0:
        try:
            _ask(server, version, scan, times, left)
        except requests.Timeout:
            times.fault = f"no answer within {left:.0f} s"
        except NoServerError as error:
            times.fault = str(error)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            times.fault = f"the answer is not the contract's: {error!r}"
        if times.fault:
            time.sleep(RETRY_SECONDS)


def measure(
    server: TorchServe, candidate: str, live: str, scan: bytes, limits: LatencyLimits, stop: threading.Event
) -> tuple[Times, Times]:
    """Times of ``candidate`` and ``live``, at least ``limits.samples`` of each unless ``limits.seconds`` pass first.
    Ends at once when ``stop`` is set."""
    ours, theirs = Times(), Times()

    def done() -> bool:
        enough = min(len(ours.client), len(theirs.client)) >= limits.samples
        return enough or bool(ours.fault) or stop.is_set()

    with ThreadPoolExecutor(2) as pool:
        loops: list[Future[None]] = [
            pool.submit(_loop, server, version, scan, times, done, limits.seconds)
            for version, times in ((candidate, ours), (live, theirs))
        ]
        try:
            for loop in loops:
                loop.result()
        except BaseException:
            stop.set()
            raise
    return ours, theirs


def check_latency(server: TorchServe, candidate: str, live: str, scan: bytes, limits: LatencyLimits) -> Check:
    """Compares medians and 95th percentiles. Raises :class:`GateError` when too little could be measured."""
    ours, theirs = measure(server, candidate, live, scan, limits, threading.Event())
    if ours.fault:
        return Check("latency", "the candidate failed a request", f"the candidate failed a request: {ours.fault}")
    few = min(len(ours.client), len(theirs.client))
    if few < min(FEWEST, limits.samples):
        raise GateError(
            f"only {few} samples of the latency within {limits.seconds:.0f} s ({theirs.fault or 'both are slow'}): "
            "try again when there is less to do, or raise latency.seconds"
        )
    own, other = np.array(ours.handler), np.array(theirs.handler)
    seen = np.array(ours.counted(limits.overhead_seconds))
    # Time hidden from the handler's clock shows in the median of what a client sees; its tail is the machine's.
    median, p95 = float(np.median(seen)), float(np.percentile(own, 95))
    live_median, live_p95 = float(np.median(other)), float(np.percentile(other, 95))
    breach = joined(
        above("median latency", median / live_median, limits.median_ratio, " times the live version's"),
        above("p95 latency", p95 / live_p95, limits.p95_ratio, " times the live version's"),
        above("p95 latency", float(np.percentile(seen, 95)), limits.p95_seconds, " s"),
    )
    said = (
        f"median {median * 1e3:.1f} ms (live {live_median * 1e3:.1f}), p95 {p95 * 1e3:.1f} (live {live_p95 * 1e3:.1f})"
    )
    figures = {"median_seconds": median, "p95_seconds": p95, "live_median_seconds": live_median}
    figures |= {"live_p95_seconds": live_p95, "latency_samples": float(few)}
    return Check("latency", f"{said}, {few} samples each", breach, figures)
