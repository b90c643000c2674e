"""Ctrl-C and SIGTERM end a command where that is safe: between steps, never inside one that must be whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rollout.errors import StoppedError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopping:
    """Raises :class:`StoppedError` in the main thread when a signal comes, or as soon as :meth:`shielded` ends."""

    def __init__(self) -> None:
        self._shields = 0
        self._told = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """While this lasts, signals are ours. Outside the main thread nothing changes."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._tell) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """What is inside is done whole."""
        self._shields += 1
        try:
            yield
        finally:
            self._shields -= 1
        self.check()

    def check(self) -> None:
        """Raises :class:`StoppedError` when a signal has come and nothing is shielded."""
        if self._told and not self._shields:
            self._told = False  # once: what is cleaned up after it is not stopped again
            raise StoppedError("stopped by a signal")

    def _tell(self, _number: int, _frame: FrameType | None) -> None:
        self._told = True
        self.check()
