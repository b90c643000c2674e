"""One change at a time: a lock in the state folder that ends with the process that holds it."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.tools.rollout.errors import BusyError

LOCK_FILE = "deploy.lock"
POLL_SECONDS = 0.1


@contextmanager
def locked(state: Path) -> Iterator[None]:
    """Holds the lock. Raises :class:`BusyError`, which names the process, when another one has it."""
    descriptor = os.open(state / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not _try(descriptor):
            raise BusyError(
                f"another scripts/deploy (process {_holder(descriptor)}) is at work here. Wait for it, look with "
                "'scripts/deploy status', or end it with 'scripts/deploy rollback'."
            )
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def ask_to_stop(state: Path, seconds: float) -> bool:
    """Asks the process that holds the lock to stop (SIGTERM) and waits for it; whether there was one. Raises
    :class:`BusyError` when it still holds the lock after ``seconds``."""
    descriptor = os.open(state / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if _try(descriptor):
            return False
        holder = _holder(descriptor)
        if holder:  # 0 in the moment between its taking the lock and writing its number
            os.kill(holder, signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while not _try(descriptor):
            if time.monotonic() > deadline:
                raise BusyError(
                    f"scripts/deploy (process {holder}) was asked to stop and did not within {seconds:.0f} s."
                )
            time.sleep(POLL_SECONDS)
        return True
    finally:
        os.close(descriptor)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(descriptor: int) -> int:
    return int(os.pread(descriptor, 20, 0).decode() or 0)
