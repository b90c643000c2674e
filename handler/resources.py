"""How many workers and threads, and how many requests at a time: the one place that decides it from the machine's
cores."""

from __future__ import annotations

import os
from dataclasses import dataclass

MOST_AT_ONCE = 4  # each holds its pictures in memory, and the front door lets no more of a version through at a time


@dataclass(frozen=True)
class Plan:
    """``threads``: CPU threads each of a version's ``workers`` workers uses for the network. ``at_once``: requests that
    a worker works on at a time; ``delay_ms``: how long TorchServe holds the first of them for others to come."""

    workers: int
    threads: int
    at_once: int = 1
    delay_ms: int = 1


def available_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def plan(cores: int | None = None) -> Plan:
    """One worker: a lone slice has all cores, several share them and one copy of the network.

    TorchServe makes a batch of what waits. Without a delay it takes two at most, which is all that two cores want; to
    take more it holds even a lone request for the whole delay, a millisecond."""
    cores = cores or available_cores()
    return Plan(1, cores, min(cores, MOST_AT_ONCE), 0 if cores < 3 else 1)
