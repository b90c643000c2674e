"""A lock file that names who holds it and ends with its holder, ``kill -9`` included."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def held(path: Path, refusal: Callable[[int], Exception]) -> Iterator[None]:
    """Holds the lock ``path``, made when missing. Raises ``refusal`` of the holder's process number (0: not yet known)
    when another process has it."""
    descriptor = opened(path)
    try:
        if not take(descriptor):
            raise refusal(holder(descriptor))
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def opened(path: Path) -> int:
    """A descriptor that processes started meanwhile do not get."""
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def take(descriptor: int) -> bool:
    """Whether nobody else held the lock; it is ours then."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def holder(descriptor: int) -> int:
    """The process that holds the lock; 0 in the moment between its taking the lock and writing its number."""
    return int(os.pread(descriptor, 20, 0).decode() or 0)
