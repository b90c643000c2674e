"""A lock file that names who holds it and ends with its holder, ``kill -9`` included."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

LOOK_SECONDS = 0.2


@contextmanager
def held(path: Path, refusal: Callable[[int], Exception]) -> Iterator[None]:
    """Holds the lock ``path``, made when missing. Raises ``refusal`` of the holder's process number (0: not yet known)
    when another process has it."""
    descriptor = opened(path)
    try:
        if not take(descriptor) and not _again(descriptor):
            raise refusal(holder(descriptor))
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def opened(path: Path) -> int:
    """A descriptor that processes started meanwhile do not get."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    keep_owner(descriptor, path.parent)
    return descriptor


def keep_owner(descriptor: int, folder: Path) -> None:
    """What root makes in somebody's state folder is that one's: else the server's own user could not write it again."""
    owner = folder.stat()
    if os.geteuid() == 0 and os.fstat(descriptor).st_uid != owner.st_uid:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def is_held(path: Path) -> bool:
    """Whether a process holds the lock ``path``; nothing is made where there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _again(descriptor: int) -> bool:
    """Another try, for who only looked (:func:`is_held`) is gone by then."""
    time.sleep(LOOK_SECONDS)
    return take(descriptor)


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
