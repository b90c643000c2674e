"""Progress of work that is counted in thousands: how many a second, how long it will take, how many were refused."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from progress.lines import Lines

At = Callable[[int, int], None]


def rate(done: int, seconds: float, what: str) -> str:
    """Such as ``12.5 scans/s``."""
    return f"{done / seconds:.1f} {what}/s" if seconds > 0 else f"- {what}/s"


@contextmanager
def rating(
    title: str, total: int, what: str, console: Console, clock: Callable[[], float] = time.monotonic
) -> Iterator[At]:
    """The function that it yields takes how many are done and how many of these were refused. A bar on a terminal, else
    a line each half minute (:class:`progress.lines.Lines`)."""
    begin = clock()
    if not console.is_terminal:
        lines = Lines(
            title, total, lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True), clock
        )

        def tell(done: int, refused: int) -> None:
            lines.at(done, rate(done, clock() - begin, what), f"{refused} refused")

        tell(0, 0)
        yield tell
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[told]}"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(title, total=total, told="")

        def show(done: int, refused: int) -> None:
            told = f"{rate(done, clock() - begin, what)}, {refused} refused"
            progress.update(task, completed=done, told=told)

        yield show
