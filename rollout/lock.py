"""One change at a time: a lock in the state folder that ends with the process that holds it."""

from __future__ import annotations

import os
import signal
import time
from contextlib import AbstractContextManager
from pathlib import Path

from rollout.errors import BusyError
from rollout.file_lock import held, holder, opened, take

LOCK_FILE = "deploy.lock"
POLL_SECONDS = 0.1


def locked(state: Path) -> AbstractContextManager[None]:
    """Holds the lock. Raises :class:`BusyError`, which names the process, when another one has it."""
    return held(
        state / LOCK_FILE,
        lambda process: BusyError(
            f"another scripts/deploy (process {process}) is at work here. Wait for it, look with "
            "'scripts/deploy status', or end it with 'scripts/deploy rollback'."
        ),
    )


def ask_to_stop(state: Path, seconds: float) -> bool:
    """Asks the process that holds the lock to stop (SIGTERM) and waits for it; whether there was one. Raises
    :class:`BusyError` when it still holds the lock after ``seconds``."""
    descriptor = opened(state / LOCK_FILE)
    try:
        if take(descriptor):
            return False
        process = holder(descriptor)
        if process:
            try:
                os.kill(process, signal.SIGTERM)
            except PermissionError as error:
                raise BusyError(
                    f"another user's scripts/deploy (process {process}) is at work here: stop it as that one or as root"
                ) from error
        deadline = time.monotonic() + seconds
        while not take(descriptor):
            if time.monotonic() > deadline:
                raise BusyError(
                    f"scripts/deploy (process {process}) was asked to stop and did not within {seconds:.0f} s."
                )
            time.sleep(POLL_SECONDS)
        return True
    finally:
        os.close(descriptor)
