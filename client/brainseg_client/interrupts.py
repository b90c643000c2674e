"""Ctrl-C in a long run: the first ends it after the requests in hand, the second at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

INTERRUPTED = 130
_SAID = b"\nending after the requests in hand; Ctrl-C again ends at once\n"


@contextlib.contextmanager
def hearing(on_first: Callable[[], None]) -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets, calling ``on_first``; the second ends the process with 130. Results are
    renamed into place when they are whole, so nothing is left half. In the main thread only; where Ctrl-C is ignored,
    as in a shell's background jobs, it stays so."""
    stop = threading.Event()

    def hear(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(INTERRUPTED)
        stop.set()
        os.write(2, _SAID)  # what prints may be what was interrupted
        on_first()

    before = signal.getsignal(signal.SIGINT)
    if before != signal.SIG_IGN:
        signal.signal(signal.SIGINT, hear)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
