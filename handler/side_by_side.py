"""Work on large pictures on two threads; on small ones a second thread costs more than it brings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from handler.resources import available_cores

THREADS = 2  # each holds a picture of its own in memory
LARGE_PIXELS = 2**20
A = TypeVar("A")
B = TypeVar("B")


def on_threads(work: Callable[[A], B], items: Iterable[A], pixels: int) -> list[B]:
    """``work`` on each of ``items``, in their order; side by side where a picture has many ``pixels``. The threads end
    with the call: none is left for a process that is forked."""
    if pixels < LARGE_PIXELS or available_cores() < THREADS:
        return list(map(work, items))
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(work, items))
