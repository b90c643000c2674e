"""Waiting for what happens. The bound is for a test that hangs, not for a machine that is busy."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
BOUND_SECONDS = 300


def until(happened: Callable[[], T], what: str | Callable[[], str] = "it did not happen", every: float = 0.05) -> T:
    """Asks ``happened`` every ``every`` seconds until it answers with something true, which it returns; fails with
    ``what`` (or what it then says) after :data:`BOUND_SECONDS`."""
    deadline = time.monotonic() + BOUND_SECONDS
    while not (answer := happened()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what() if callable(what) else what} within {BOUND_SECONDS} s")
        time.sleep(every)
    return answer
