"""Progress where no terminal watches, as under nohup or in CI: a line now and then, with the time left."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

EVERY_SECONDS = 30.0


class Lines:
    """Writes how far work called `title` is, at most every :data:`EVERY_SECONDS`. `total` and `done` count its steps;
    those that were `done` before, in a run that is resumed, say nothing of the speed. `clock` gives seconds."""

    def __init__(
        self,
        title: str,
        total: int,
        write: Callable[[str], None],
        done: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._title, self._total, self._write, self._clock = title, total, write, clock
        self._first = done
        self._begin = self._written = clock()

    def at(self, done: int, *details: str, now: bool = False) -> None:
        """`done` steps are done in all. Writes if it is time or `now` is set, `details` behind the time left."""
        time_now = self._clock()
        if not now and time_now - self._written < EVERY_SECONDS:
            return
        self._written = time_now
        parts = [f"{done} of {self._total}"]
        if done > self._first:
            left = (self._total - done) * (time_now - self._begin) / (done - self._first)
            parts.append(f"{timedelta(seconds=round(left))} left")
        self._write(f"{self._title}: {', '.join([*parts, *details])}")
