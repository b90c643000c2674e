"""A driver alone, its workers replaced by one who only reads: what the driver costs, whatever the network does.

``python -m tests.bulk.many SOURCE OUT``: a run; prints scans done, seconds and the largest resident memory in kB."""

from __future__ import annotations

import hashlib
import resource
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bulk.crew import Event, Hand, Ready
from bulk.release import Opened
from bulk.row import Row
from bulk.run import Options, Watching, run
from bulk.task import Done, Task


class Reader:
    """A hand and its executor: says of every scan that there is no tumour."""

    hands = 1

    def __init__(self) -> None:
        self._events: deque[tuple[Hand, Event]] = deque()

    def start(self) -> Hand:
        self._events.append((self, Ready()))
        return self

    def give(self, task: Task) -> None:
        part = task.parts[0]
        sha256 = hashlib.sha256(Path(part.address).read_bytes()).hexdigest()
        row = Row(sha256, part.address, 1, part.size, "1.0", "", None, None, 0.01, "no_tumor_detected", "png", 1, 8, 8)
        self._events.append((self, Done(task.key, row, (sha256,))))

    def wait(self, _hands: list[Hand], _seconds: float) -> list[tuple[Hand, Event]]:
        found = list(self._events)
        self._events.clear()
        return found

    def end(self) -> None:
        """Nothing to end."""

    def close(self) -> None:
        """Nothing is left."""


@contextmanager
def showing(_total: int) -> Iterator[Callable[[int, int], None]]:
    yield lambda _done, _refused: None


def main(source: str, out: str) -> None:
    begin = time.monotonic()
    opened = Opened(b"", "", "1.0", "")
    summary = run(Options(source, out), opened, Reader(), Watching(showing, lambda _line: None))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(summary.done, summary.before, round(time.monotonic() - begin, 1), peak)


if __name__ == "__main__":
    main(*sys.argv[1:])
