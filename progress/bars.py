"""A bar with a count and the time left, for work of known length; lines where the output is no terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from progress.lines import Lines


class Bars:
    """One bar at a time on `console`: calling it with a title and a total starts a bar, ending the one before."""

    def __init__(self, console: Console) -> None:
        self._console, self._open = console, ExitStack()

    def __call__(self, title: str, total: int) -> Callable[[], None]:
        self._open.close()
        return self._open.enter_context(counting(title, total, self._console))

    def close(self) -> None:
        self._open.close()


@contextmanager
def counting(title: str, total: int, console: Console) -> Iterator[Callable[[], None]]:
    """Shows a bar on `console`; the function it yields counts one step, and the bar goes away with the last. Where
    `console` is no terminal, work of more than half a minute says a line now and then instead."""
    if not console.is_terminal:
        lines = Lines(title, total, lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True))
        steps = count(1)
        yield lambda: lines.at(next(steps))
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=console, transient=True)
    task = progress.add_task(title, total=total)

    def advance() -> None:
        progress.advance(task)
        if progress.finished:
            progress.stop()  # before another bar starts: two live displays on one terminal are an error

    progress.start()
    try:
        yield advance
    finally:
        progress.stop()
