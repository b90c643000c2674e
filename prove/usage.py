"""What a server takes, seen from outside: memory, handles and threads of each process, temporary files."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

MIB = 2**20


@dataclass(frozen=True)
class Taken:
    """Of one process: its id, resident memory in bytes, open file handles (sockets are some), threads."""

    pid: int
    resident: int
    handles: int
    threads: int


@dataclass(frozen=True)
class Usage:
    """``processes``: by role; ``temporary``: files in the server's temporary folder, and their bytes."""

    processes: Mapping[str, Taken]
    temporary: tuple[int, int]


def look(processes: Mapping[str, psutil.Process], temporary: Path) -> Usage:
    """Now. Raises ``psutil.NoSuchProcess`` where one has ended."""
    taken = {}
    for role, process in processes.items():
        with process.oneshot():
            taken[role] = Taken(process.pid, process.memory_info().rss, process.num_fds(), process.num_threads())
    count = size = 0
    for path in temporary.rglob("*"):
        with contextlib.suppress(OSError):  # gone meanwhile
            if path.is_file():
                count, size = count + 1, size + path.stat().st_size
    return Usage(taken, (count, size))


def same_processes(before: Usage, after: Usage) -> list[str]:
    """The roles whose process is another one, or gone."""
    now = {role: taken.pid for role, taken in after.processes.items()}
    return [role for role, taken in before.processes.items() if now.get(role) != taken.pid]
