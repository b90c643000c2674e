"""Progress where no terminal watches, as under nohup or in CI: a line now and then, with the time left."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

EVERY_SECONDS = 30.0


class Lines:
    """Writes how far work called `title`, of `total` steps, is, at most every :data:`EVERY_SECONDS`. The time left is
    reckoned from the first step that is told on: what came before it was setting up, or a run that is now resumed.
    `clock` gives seconds."""

    def __init__(
        self, title: str, total: int, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._title, self._total, self._write, self._clock = title, total, write, clock
        self._written = clock()
        self._first: tuple[int, float] | None = None

    def at(self, done: int, *details: str, now: bool = False) -> None:
        """`done` steps are done in all. Writes if it is time or `now` is set, `details` behind the time left."""
        time_now = self._clock()
        first, begin = self._first = self._first or (done, time_now)
        if not now and time_now - self._written < EVERY_SECONDS:
            return
        self._written = time_now
        parts = [f"{done} of {self._total}"]
        if done > first:
            left = (self._total - done) * (time_now - begin) / (done - first)
            parts.append(f"{timedelta(seconds=round(left))} left")
        self._write(f"{self._title}: {', '.join([*parts, *details])}")
