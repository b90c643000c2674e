"""A lock file that names who holds it and ends with its holder, ``kill -9`` included."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

LOOK_SECONDS = 0.2
END_SECONDS = 10.0


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


def renew(path: Path) -> None:
    """Shows that the holder of the lock ``path`` works on; nothing where there is none."""
    with suppress(FileNotFoundError):
        os.utime(path)


def is_kept(path: Path, seconds: float) -> bool:
    """Whether a process holds the lock ``path`` and has renewed it within ``seconds``: one that is stopped does not."""
    return is_held(path) and time.time() - path.stat().st_mtime < seconds


def end_holder(path: Path) -> None:
    """Kills the process that holds the lock ``path``, if any. Raises ``OSError`` where that is another user's, or one
    that cannot be seen from here."""
    if not is_held(path):
        return
    process = int(path.read_text() or 0)
    try:
        found = psutil.Process(process)
        # The number may be of another container, and here that of somebody else.
        if str(path.resolve()) not in [file.path for file in found.open_files()]:
            raise psutil.NoSuchProcess(process)
        found.kill()
        found.wait(END_SECONDS)
    except psutil.Error as error:
        raise OSError(f"process {process}, which holds {path}, cannot be ended from here; end it yourself") from error


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
