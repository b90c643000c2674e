"""One run at a time in a folder of results: two would mix each other's pictures and records."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LOCK = ".brainseg.lock"  # stays when the run has ended: removing it would let two runs lock two files of one name


class FolderInUseError(Exception):
    """Another run writes there."""


def _take(descriptor: int) -> None:
    if sys.platform == "win32":
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Holds ``folder``, made when missing; the system lets go of it when the process ends, however it does. Raises
    :class:`FolderInUseError`, or ``OSError`` where the folder cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
    try:
        try:
            _take(descriptor)
        except (BlockingIOError, PermissionError):
            raise FolderInUseError(
                f"another run writes into {folder}: wait for its end, or give this one an --out of its own"
            ) from None
        yield
    finally:
        os.close(descriptor)
