"""Inputs on whose watch a worker died: one may be tried again, for it may have been chance; not more. A worker works on
several requests at once and takes all of them along, so those under suspicion are tried one at a time: what died of a
neighbour is not beside it again."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from web.way.submission import Submission

MOST = 1024
FORGET_SECONDS = 600.0
LOOK_SECONDS = 0.5
TRIES = 3  # deaths after which an input is refused unheard, until it is forgotten


def fingerprint(submission: Submission) -> bytes:
    """The same for the same scan and settings."""
    digest = hashlib.sha256(submission.scan)
    digest.update(repr((sorted(submission.fields.items()), submission.version)).encode())
    return digest.digest()


class Suspects:
    """Safe to use from several threads. Keeps digests only."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._trial = threading.Lock()
        self._deaths: OrderedDict[bytes, tuple[int, float]] = OrderedDict()

    @contextmanager
    def alone(self, check: Callable[[], None]) -> Iterator[None]:
        """No other suspect is tried meanwhile. ``check`` is called while the one before is; what it raises ends the
        wait."""
        while not self._trial.acquire(timeout=LOOK_SECONDS):
            check()
        try:
            yield
        finally:
            self._trial.release()

    def deaths(self, submission: Submission) -> int:
        """How many workers died over ``submission`` lately. Costs nothing while no worker dies."""
        with self._lock:
            self._forget()
            if not self._deaths:
                return 0
        with self._lock:
            return self._deaths.get(fingerprint(submission), (0, 0.0))[0]

    def add(self, submission: Submission) -> int:
        """Notes a death; returns how many there were lately, with this one."""
        key = fingerprint(submission)
        with self._lock:
            self._forget()
            count = self._deaths.pop(key, (0, 0.0))[0] + 1
            self._deaths[key] = (count, time.monotonic())
            return count

    def _forget(self) -> None:
        """Oldest first, by the time of the last death. Lock held."""
        horizon = time.monotonic() - FORGET_SECONDS
        while self._deaths and (len(self._deaths) > MOST or next(iter(self._deaths.values()))[1] < horizon):
            self._deaths.popitem(last=False)
