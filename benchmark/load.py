"""Closed-loop load: each client sends its next request when it has its answer."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass


@dataclass(frozen=True)
class Shot:
    """One request: seconds it took, and seconds the server says it spent in the forward pass and on the pictures (None:
    it does not say)."""

    seconds: float
    forward_seconds: float | None = None
    picture_seconds: float | None = None


@dataclass(frozen=True)
class LoadResult:
    """Seconds; ``errors`` counts requests that failed, which are in no other figure."""

    clients: int
    requests: int
    errors: int
    p50: float
    p95: float
    p99: float
    per_second: float
    outside_forward_p50: float | None
    pictures_p50: float | None


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least ``share`` (0..1) of ``values`` do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1)]


@dataclass(frozen=True)
class Load:
    """What came of one turn: the shots that hit, how many failed, and how long all of it took."""

    shots: tuple[Shot, ...]
    errors: int
    seconds: float


def run_load(send: Callable[[], Shot], clients: int, requests: int) -> Load:
    """Sends ``requests`` requests by ``clients`` clients; ``send`` raises for one that failed."""
    shots: list[Shot] = []
    errors = 0
    lock = threading.Lock()

    def one(_: int) -> None:
        nonlocal errors
        try:
            shot = send()
        except Exception:
            with lock:
                errors += 1
            return
        with lock:
            shots.append(shot)

    begin = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(one, range(requests)))
    return Load(tuple(shots), errors, time.perf_counter() - begin)


def summarise(clients: int, turns: Sequence[Load]) -> LoadResult:
    """The figures over all ``turns``. Raises ``RuntimeError`` when every request failed."""
    shots = [shot for turn in turns for shot in turn.shots]
    errors = sum(turn.errors for turn in turns)
    if not shots:
        raise RuntimeError(f"all of {errors} requests failed")
    seconds = [shot.seconds for shot in shots]
    outside = [shot.seconds - shot.forward_seconds for shot in shots if shot.forward_seconds is not None]
    pictures = [shot.picture_seconds for shot in shots if shot.picture_seconds is not None]
    return LoadResult(
        clients,
        len(shots) + errors,
        errors,
        percentile(seconds, 0.5),
        percentile(seconds, 0.95),
        percentile(seconds, 0.99),
        len(shots) / sum(turn.seconds for turn in turns),
        statistics.median(outside) if outside else None,
        statistics.median(pictures) if pictures else None,
    )
