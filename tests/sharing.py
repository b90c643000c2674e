"""Folders that take long to make: made once, by the first worker that wants one, and read by all of them."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

WORKER = "PYTEST_XDIST_WORKER"


def shared_folder(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """The folder ``name`` of this test session, filled by ``make`` once, whatever the number of workers. It is for
    reading: who wants to change something takes a copy."""
    base = factory.getbasetemp()
    # pytest-xdist gives each worker a folder of its own below the session's.
    session = base.parent if os.environ.get(WORKER) else base
    folder = session / "shared" / name
    folder.parent.mkdir(exist_ok=True)
    with (folder.parent / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder.parent / f"{name}.done"
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            done.touch()
    return folder
