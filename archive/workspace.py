"""A temporary folder to package in: with room enough, and nothing of it left behind by a run that was killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = "brainseg-package-"
LOCK_FILE = "lock"
OLD_SECONDS = 86400.0  # a folder of ours without a lock is an older build's, or was made a moment ago
MIB = 1 << 20
# Packaging 1.0 (weights of 45 MiB) held 231 MiB at most: weights, traced network, ncnn's files, the archive twice.
TIMES_WEIGHTS = 6
SPARE_BYTES = 8 * MIB
FULL_BYTES = MIB // 4  # with less than this left, what failed has failed for want of room


class NoRoomError(OSError):
    """A disk is full; the message says which, and what to do."""


def check_room(folder: Path, needed: int, purpose: str) -> None:
    """Raises :class:`NoRoomError` when ``folder`` has less than ``needed`` bytes for ``purpose``."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise NoRoomError(
            f"{folder} has {free / MIB:.1f} MiB free; {purpose} needs {needed / MIB:.0f}. Free some of it, or for "
            "temporary files set TMPDIR to a folder on another disk."
        )


@contextmanager
def workspace(weights_bytes: int) -> Iterator[Path]:
    """An empty folder that is gone at the end. Raises :class:`NoRoomError` when there is too little room for a release
    of ``weights_bytes``, before or in the course of it."""
    temporary = Path(tempfile.gettempdir())
    sweep(temporary)  # before there has to be room
    check_room(temporary, TIMES_WEIGHTS * weights_bytes + SPARE_BYTES, "packaging, for temporary files,")
    with own_folder(PREFIX) as folder:
        try:
            yield folder
        except Exception as error:  # torch, pnnx and the archiver each say it in their own way, or not at all
            if shutil.disk_usage(folder).free < FULL_BYTES:
                raise NoRoomError(
                    f"{temporary}, where temporary files go, is full. Free some of it, or set TMPDIR to a folder on "
                    "another disk."
                ) from error
            raise


@contextmanager
def own_folder(prefix: str) -> Iterator[Path]:
    """An empty temporary folder that is gone at the end, or when the next is made after this process was killed."""
    temporary = Path(tempfile.gettempdir())
    sweep(temporary, prefix)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=temporary) as name, _locked(Path(name)):
        yield Path(name)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    made = folder / f"{LOCK_FILE}.new"
    descriptor = os.open(made, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        made.rename(folder / LOCK_FILE)  # held before others see it
        yield
    finally:
        os.close(descriptor)


def sweep(temporary: Path, prefix: str = PREFIX) -> list[Path]:
    """Removes what runs of this user that were killed have left in ``temporary``; what it removed."""
    left = [folder for folder in temporary.glob(f"{prefix}*") if _is_left(folder)]
    for folder in left:
        shutil.rmtree(folder, ignore_errors=True)
    return left


def _is_left(folder: Path) -> bool:
    try:
        status = folder.lstat()
    except OSError:
        return False  # whose it was has just removed it
    try:
        if status.st_uid != os.getuid() or not folder.is_dir() or folder.is_symlink():
            return False
        descriptor = os.open(folder / LOCK_FILE, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return time.time() - status.st_mtime > OLD_SECONDS
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False  # somebody works there
    finally:
        os.close(descriptor)
    return True


@contextmanager
def alone_in(store: Path, name: str) -> Iterator[None]:
    """To write the file ``name`` into ``store``: one process at a time, after half-written ones of that name are
    swept."""
    store.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(store, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a network's file system may have no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        for half in store.glob(f".{name}.*"):
            half.unlink(missing_ok=True)
        yield
    finally:
        os.close(descriptor)
