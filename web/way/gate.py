"""How many requests, and how many bytes of them, are with TorchServe at a time; the rest wait in a short queue."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from web.contract.fields import RefusedError
from web.settings import Bounds

LOOK_SECONDS = 1.0
RETRY_SECONDS = 2


class GoneError(Exception):
    """The client hung up while it waited."""


@dataclass(eq=False)
class _Ticket:
    size: int
    admitted: bool = False


class Gate:
    """First come, first served. Safe to use from several threads."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._change = threading.Condition()
        self._queue: deque[_Ticket] = deque()
        self._holders: Counter[str] = Counter()
        self.running = 0
        self.running_bytes = 0

    @property
    def waiting(self) -> int:
        return len(self._queue)

    @contextmanager
    def place(self, size: int, client: str, gone: Callable[[], bool]) -> Iterator[None]:
        """Holds a place at TorchServe for a body of ``size`` bytes. Raises ``queue_full`` when the queue is full or
        takes too long, ``rate_limited`` when ``client`` holds its share already, :class:`GoneError` when it hung up."""
        ticket = self._enter(size, client)
        try:
            self._wait(ticket, gone)
            yield
        finally:
            with self._change:
                self._holders[client] -= 1
                self._holders += Counter()  # drops zeros
                if ticket.admitted:
                    self.running -= 1
                    self.running_bytes -= size
                else:
                    self._queue.remove(ticket)
                self._admit()

    def _enter(self, size: int, client: str) -> _Ticket:
        with self._change:
            places = self._bounds.running + self._bounds.waiting
            if self.running + len(self._queue) >= places:
                raise RefusedError("queue_full", f"{places} requests are being served; try again.", RETRY_SECONDS)
            share = max(1, int(self._bounds.client_share * places))
            if self._holders[client] >= share:
                raise RefusedError("rate_limited", f"At most {share} requests of one client at a time.", RETRY_SECONDS)
            self._holders[client] += 1
            ticket = _Ticket(size)
            self._queue.append(ticket)
            self._admit()
            return ticket

    def _wait(self, ticket: _Ticket, gone: Callable[[], bool]) -> None:
        deadline = time.monotonic() + self._bounds.waiting_seconds
        with self._change:
            while not ticket.admitted:
                if gone():
                    raise GoneError
                if time.monotonic() > deadline:
                    raise RefusedError("queue_full", "The queue did not move in time; try again.", RETRY_SECONDS)
                self._change.wait(LOOK_SECONDS)

    def _admit(self) -> None:
        """Lets in from the front of the queue what fits; a body larger than all bounds goes alone. Lock held."""
        while self._queue and self.running < self._bounds.running:
            size = self._queue[0].size
            if self.running and self.running_bytes + size > self._bounds.running_bytes:
                break
            self._queue.popleft().admitted = True
            self.running += 1
            self.running_bytes += size
        self._change.notify_all()
