"""How many workers and threads: the one place that decides it from the machine's cores."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """``threads``: CPU threads each of a version's ``workers`` workers uses for the network."""

    workers: int
    threads: int


PROFILES = ("latency", "throughput")


def available_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def plan(profile: str = "latency", cores: int | None = None) -> Plan:
    """``latency``: one worker with all the cores, the shortest time for a lone request and one copy of the network in
    memory. ``throughput``: a worker a core, most requests a second under load. Raises ``ValueError`` for another name.
    ``scripts/benchmark`` measures both."""
    cores = cores or available_cores()
    if profile not in PROFILES:
        raise ValueError(f"profile {profile!r}: expected one of {', '.join(PROFILES)}")
    return Plan(1, cores) if profile == "latency" else Plan(cores, 1)
