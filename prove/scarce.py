"""Processes that may take little more memory than they have."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

import psutil

from prove.usage import MIB

_CGROUPS = Path("/sys/fs/cgroup")


@contextlib.contextmanager
def little_memory(process: psutil.Process, mib: int) -> Iterator[str]:
    """``process`` may take ``mib`` MiB more than it has: by a control group where one may be made, which kills it, else
    by a limit of its addresses, at which it is refused. Gives the way's name."""
    group = _CGROUPS / f"brainseg-prove-{process.pid}"
    try:
        group.mkdir()
        if not (group / "memory.max").exists():  # a plain folder: no control groups are mounted there
            raise OSError(f"{_CGROUPS} has no control groups")
        (group / "memory.max").write_text(str(mib * MIB))  # what it has already stays with the group it came from
        (group / "memory.swap.max").write_text("0")
        (group / "cgroup.procs").write_text(str(process.pid))
    except OSError:
        with contextlib.suppress(OSError):
            group.rmdir()
        size = process.memory_info().vms + mib * MIB
        resource.prlimit(process.pid, resource.RLIMIT_AS, (size, size))
        yield "RLIMIT_AS"
        return
    try:
        yield "cgroup"
    finally:
        _leave(group)


def _leave(group: Path) -> None:
    parent = group.parent / "cgroup.procs"
    for number in (group / "cgroup.procs").read_text().split():
        with contextlib.suppress(OSError):
            parent.write_text(number)
    with contextlib.suppress(OSError):
        group.rmdir()
