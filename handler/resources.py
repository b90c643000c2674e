"""How many workers and threads: the one place that decides it from the machine's cores."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """``threads``: CPU threads each of ``workers`` workers uses for the network."""

    workers: int
    threads: int


def available_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def plan(cores: int | None = None) -> Plan:
    """One worker with all the cores: the shortest time for a lone request, and one copy of the network in memory."""
    return Plan(workers=1, threads=cores or available_cores())
