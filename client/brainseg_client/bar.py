"""How far a run is: a bar with the time left on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TextIO

WIDTH = 30
EVERY_SECONDS = 30.0  # between two lines where no terminal watches, as under nohup


def line(title: str, done: int, total: int, seconds: float, width: int = 0) -> str:
    """``done`` of ``total`` steps took ``seconds``. With ``width`` > 0 a bar of so many characters goes along."""
    full = done * width // total if total else width
    bar = f" [{'#' * full}{'.' * (width - full)}]" if width else ""
    left = f", {timedelta(seconds=round((total - done) * seconds / done))} left" if 0 < done < total else ""
    return f"{title}:{bar} {done} of {total}{left}"


@contextlib.contextmanager
def counting(
    title: str, total: int, stream: TextIO, clock: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[], None]]:
    """The function it yields counts one step. ``clock`` gives seconds."""
    live, begin, written, done, longest = stream.isatty(), clock(), clock(), 0, 0

    def show() -> None:
        nonlocal longest
        text = line(title, done, total, clock() - begin, WIDTH)
        longest = max(longest, len(text))
        stream.write(f"\r{text:<{longest}}")
        stream.flush()

    def advance() -> None:
        nonlocal done, written
        done += 1
        if live:
            show()
        elif clock() - written >= EVERY_SECONDS:
            written = clock()
            print(line(title, done, total, clock() - begin), file=stream, flush=True)

    if live:
        show()
    try:
        yield advance
    finally:
        if live:
            stream.write(f"\r{'':<{longest}}\r")
            stream.flush()
