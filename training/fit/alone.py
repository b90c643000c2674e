"""One process at a time trains into a folder: a lock that ends with the process that holds it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_only

LOCK_FILE = ".train.lock"


class InUseError(RuntimeError):
    """Another process is training into the folder."""


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Holds the lock of `folder`, made when missing. Raises InUseError, which names the process, when another has it.

    Of several processes of one run the first holds it for all.
    """
    if getattr(rank_zero_only, "rank", 0) != 0:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK_FILE).open("a+") as file:
        try:
            # Not flock: loader processes that outlive a killed trainer for a moment would keep it from being resumed.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:  # POSIX leaves open which
            file.seek(0)
            holder = file.read() or "unknown"
            raise InUseError(
                f"process {holder} is training into {folder}; wait for it, end it, or take a new folder"
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
