"""A shadow's workers take only the processors' time that nobody else wants."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def give_way(pids: tuple[int, ...]) -> None:
    """Puts every thread of the processes ``pids`` into the scheduler's class for idle time (SCHED_IDLE, sched(7)):
    Linux only, and for good, since only root may take it back; a shadow's workers end with it. What is another user's
    stays as it is."""
    if not hasattr(os, "SCHED_IDLE"):
        return
    for pid in pids:
        for task in _tasks(pid):
            with suppress(OSError):
                if os.sched_getscheduler(task) != os.SCHED_IDLE:
                    os.sched_setscheduler(task, os.SCHED_IDLE, os.sched_param(0))


def _tasks(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(one.name) for one in Path(f"/proc/{pid}/task").iterdir()]
    return []
