"""Ctrl-C and SIGTERM end a run, alike and surely."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StoppedError(Exception):
    """A signal has ended the run early. `status` is the exit status that shells give for it: 128 and its number."""

    def __init__(self, number: signal.Signals, last: Path) -> None:
        kept = "goes on after the last whole epoch" if last.is_file() else "begins anew, for no epoch was whole"
        super().__init__(f"stopped by {number.name}; the same command {kept}")
        self.status = 128 + number


class ToldToEnd(Callback):
    """While :meth:`listening`, both signals raise KeyboardInterrupt, at which Lightning ends the run and the processes
    that it has started. Its own handler of SIGTERM, replaced here, waits for a broadcast that never comes where there
    are several processes, and else ends the program with status 0. `signal` is the one that came first."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._heeded: list[signal.Signals] = []

    @contextmanager
    def listening(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():  # Python handles signals in no other
            yield
            return
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        # A job in the background is started to ignore Ctrl-C, which is then meant for another.
        self._heeded = [number for number, handler in before.items() if handler != signal.SIG_IGN]
        self._listen()
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler or signal.SIG_DFL)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._listen()  # Lightning has set its own since

    def on_train_batch_end(self, *_: Any) -> None:
        self._end_if_told()

    def on_validation_batch_end(self, *_: Any, **__: Any) -> None:
        self._end_if_told()

    def _end_if_told(self) -> None:
        # Where Python runs a destructor or a callback from C, it swallows what a signal's handler raises.
        if self.signal:
            raise KeyboardInterrupt

    def _listen(self) -> None:
        for number in self._heeded:
            signal.signal(number, self._told)

    def _told(self, number: int, _: FrameType | None) -> None:
        again, self.signal = self.signal is not None, self.signal or signal.Signals(number)
        if not again or number == signal.SIGINT:  # a second SIGTERM is not to interrupt the ending
            raise KeyboardInterrupt
