"""How many requests, and how many bytes of them, are with TorchServe at a time; the rest wait in short queues.

Each version has places of its own, so that one whose work takes long holds up nobody else's. Within a version
TorchServe goes by order of arrival; so long work gets fewer places than there are workers (one where there is one
worker), and a slice that comes meanwhile waits for one stack and not for all of them. It may overtake waiting stacks,
but not one and the same for ever."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from web.contract.fields import MIB, RefusedError
from web.settings import Bounds

LOOK_SECONDS = 0.5
RETRY_SECONDS = 2
PASSED = 4  # so many later ones may overtake long work when both could go
SMALL_BYTES = 4 * MIB  # a slice is not held up by the bytes of others


class GoneError(Exception):
    """The client hung up while it waited."""


@dataclass(frozen=True)
class Work:
    """What a place is wanted for. ``size``: bytes; ``long``: see :mod:`web.way.length`."""

    version: str
    size: int
    long: bool = False


@dataclass(eq=False)
class _Ticket:
    work: Work
    admitted: bool = False
    passed: int = 0


@dataclass
class _Lane:
    """Of one version."""

    queue: list[_Ticket] = field(default_factory=list)
    running: list[Work] = field(default_factory=list)

    @property
    def places(self) -> int:
        return len(self.queue) + len(self.running)


class Gate:
    """``workers``: how many a version has. Safe to use from several threads."""

    def __init__(self, bounds: Bounds, workers: Callable[[str], int] = lambda _version: 1) -> None:
        self._bounds = bounds
        self._workers = workers
        self._change = threading.Condition()
        self._lanes: dict[str, _Lane] = {}
        self._holders: Counter[tuple[str, str]] = Counter()  # by client and version

    @property
    def waiting(self) -> int:
        return sum(len(lane.queue) for lane in list(self._lanes.values()))

    @property
    def running(self) -> int:
        return sum(len(lane.running) for lane in list(self._lanes.values()))

    @property
    def running_bytes(self) -> int:
        return sum(work.size for lane in list(self._lanes.values()) for work in list(lane.running))

    def busy(self, version: str) -> bool:
        """Whether ``version`` has a request at TorchServe."""
        lane = self._lanes.get(version)
        return bool(lane and lane.running)

    @contextmanager
    def place(self, work: Work, client: str, check: Callable[[], None]) -> Iterator[None]:
        """Holds a place at TorchServe for ``work``. Raises ``queue_full`` when the queue is full or takes too long,
        ``rate_limited`` when ``client`` holds its share already, and what ``check``, called while it waits, raises."""
        ticket = self._enter(work, client)
        try:
            self._wait(ticket, check)
            yield
        finally:
            with self._change:
                lane = self._lanes[work.version]
                self._holders[client, work.version] -= 1
                self._holders += Counter()  # drops zeros
                if ticket.admitted:
                    lane.running.remove(work)
                else:
                    lane.queue.remove(ticket)
                if not lane.places:
                    del self._lanes[work.version]
                self._admit()

    def _enter(self, work: Work, client: str) -> _Ticket:
        with self._change:
            places = self._bounds.running + self._bounds.waiting
            lane = self._lanes.get(work.version, _Lane())
            all_places = sum(one.places for one in self._lanes.values())
            if lane.places >= places or all_places >= places * self._bounds.versions:
                raise RefusedError("queue_full", f"{places} requests are being served; try again.", RETRY_SECONDS)
            share = max(1, int(self._bounds.client_share * places))
            if self._holders[client, work.version] >= share:
                raise RefusedError("rate_limited", f"At most {share} requests of one client at a time.", RETRY_SECONDS)
            self._holders[client, work.version] += 1
            ticket = _Ticket(work)
            self._lanes[work.version] = lane
            lane.queue.append(ticket)
            self._admit()
            return ticket

    def _wait(self, ticket: _Ticket, check: Callable[[], None]) -> None:
        deadline = time.monotonic() + self._bounds.waiting_seconds
        while True:
            with self._change:
                if ticket.admitted or self._change.wait_for(lambda: ticket.admitted, LOOK_SECONDS):
                    return
            check()
            if time.monotonic() > deadline:
                raise RefusedError("queue_full", "The queue did not move in time; try again.", RETRY_SECONDS)

    def _admit(self) -> None:
        """Lets in what fits. Lock held."""
        for version, lane in self._lanes.items():
            longest = max(1, self._workers(version) - 1)
            while len(lane.running) < self._bounds.running:
                ticket = next((one for one in _turns(lane, longest) if self._fits(lane, one.work.size)), None)
                if ticket is None:
                    break
                for earlier in lane.queue[: lane.queue.index(ticket)]:
                    earlier.passed += 1
                lane.queue.remove(ticket)
                lane.running.append(ticket.work)
                ticket.admitted = True
        self._change.notify_all()

    def _fits(self, lane: _Lane, size: int) -> bool:
        """A body larger than all bounds goes alone. Lock held."""
        if size <= SMALL_BYTES:
            return True
        if lane.running and sum(work.size for work in lane.running) + size > self._bounds.version_bytes:
            return False
        return not self.running or self.running_bytes + size <= self._bounds.running_bytes


def _turns(lane: _Lane, longest: int) -> list[_Ticket]:
    """Whose turn it is, and who is next where that one does not fit: the first short one (and the first small one), and
    the first long one where there is a place for long work; that one before, once it has been overtaken often
    enough."""
    waiting = [one for one in lane.queue if not one.work.long]
    short = [*waiting[:1], *[one for one in waiting[1:] if one.work.size <= SMALL_BYTES][:1]]
    if sum(work.long for work in lane.running) >= longest:
        return short
    long = [one for one in lane.queue if one.work.long][:1]
    return [*long, *short] if long and long[0].passed >= PASSED else [*short, *long]
