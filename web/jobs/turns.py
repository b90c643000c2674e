"""When a job may go to TorchServe: beside interactive requests, never in their way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from web.jobs.order import Order

LOOK_SECONDS = 0.2
YIELD_SECONDS = 60.0  # so long a job lets interactive requests go first, not for ever


class Turns:
    """One worker fewer than a version has is for jobs, at least one. ``ready``: how many workers the version has that
    an order asks; ``waiting``: how many interactive requests wait for a place. Safe to use from several threads."""

    def __init__(self, ready: Callable[[Order], int], waiting: Callable[[], int]) -> None:
        self._ready = ready
        self._waiting = waiting
        self._lock = threading.Lock()
        self._running = 0

    @contextmanager
    def turn(self, order: Order, check: Callable[[], None]) -> Iterator[None]:
        """Holds a turn; ``check`` is called while it is waited for and may raise."""
        since = time.monotonic()
        while not self._take(order, time.monotonic() - since):
            check()
            time.sleep(LOOK_SECONDS)
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1

    def _take(self, order: Order, waited: float) -> bool:
        with self._lock:
            if self._running >= max(1, self._ready(order) - 1):
                return False
            if waited < YIELD_SECONDS and self._waiting():
                return False
            self._running += 1
            return True
