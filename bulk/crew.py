"""Tasks to whoever works, whatever they run on: two tries each, the guilty one set apart, the others untouched.

An executor gives hands (:class:`Hand`): each holds a task in work and one that waits behind it, so that nobody idles
for the way to the driver and back. A hand that is lost takes the task in work down with it; the one behind goes to
another."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from bulk.errors import BulkError
from bulk.row import LOST, SLOW
from bulk.task import Done, Lost, Outcome, Task

TRIES = 2
MOVES = 6  # hands that a task may lose by no fault of its own: if it goes on so, there is one after all
AHEAD = 2  # tasks a hand holds: one in work, one behind
LOOK_SECONDS = 0.5
BEGIN_SECONDS = 900.0
MOST_BARREN = 3  # hands that are lost, one after the other, before they did anything: nothing will come of it


@dataclass(frozen=True)
class Ready:
    """A hand has opened the model and begins with what it was given."""


@dataclass(frozen=True)
class Gone:
    """A hand was lost. ``why``: in words; ``blamed``: whether the task in work may have been the reason."""

    why: str
    blamed: bool = True


Event = Ready | Done | Gone


class Hand(Protocol):
    """One who works on a task at a time, in the order in which they are given."""

    def give(self, task: Task) -> None: ...
    def end(self) -> None:
        """At once, whatever it is at."""


class Executor(Protocol):
    """``hands``: how many work at a time."""

    hands: int

    def start(self) -> Hand:
        """Another hand. It begins to work when it has opened the model."""

    def wait(self, hands: list[Hand], seconds: float) -> list[tuple[Hand, Event]]:
        """What happened within ``seconds``, in order for each hand."""

    def close(self) -> None:
        """Ends what is left."""


@dataclass
class _Held:
    tasks: deque[Task] = field(default_factory=deque)
    ready: bool = False
    since: float = 0.0


class Crew:
    """``limit_seconds``: for one scan; whoever takes longer is ended. ``say``: is told of hands that were lost."""

    def __init__(
        self,
        executor: Executor,
        limit_seconds: float,
        say: Callable[[str], None] = lambda _line: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._executor, self._limit, self._say, self._clock = executor, limit_seconds, say, clock
        self._held: dict[Hand, _Held] = {}
        self._tries: dict[int, float] = {}  # of tasks that lost a hand: few
        self._again: deque[Task] = deque()
        self._barren = 0
        self._begun = clock()

    def run(self, tasks: Iterator[Task], stopped: Callable[[], bool]) -> Iterator[Outcome]:
        """Each task's outcome as it comes, in no order. Once ``stopped`` says so no task is given any more, and it ends
        with those that hands hold. Raises :class:`BulkError` where no hand can be had."""
        more = True
        while True:
            if stopped():
                more = False
                self._again.clear()
            elif more or self._again:
                more = self._deal(tasks, more)
            if not (more or self._again):
                self._release()
                if not self._held:
                    return
            self._check_begun()
            for hand, event in self._executor.wait(list(self._held), LOOK_SECONDS):
                yield from self._heard(hand, event)
            yield from self._too_slow()

    def _deal(self, tasks: Iterator[Task], more: bool) -> bool:
        """Gives what can be given, to those who have begun: where there is no room for a hand it may never begin.
        Whether ``tasks`` may have more."""
        while len(self._held) < self._wanted(more):
            self._held[self._executor.start()] = _Held()
        while ready := [hand for hand, held in self._held.items() if held.ready and len(held.tasks) < AHEAD]:
            task = self._again.popleft() if self._again else next(tasks, None) if more else None
            if task is None:
                return False
            hand = min(ready, key=lambda one: len(self._held[one].tasks))
            held = self._held[hand]
            if not held.tasks:
                held.since = self._clock()
            held.tasks.append(task)
            hand.give(task)
        return more

    def _wanted(self, more: bool) -> int:
        """How many hands there is work for."""
        if more:
            return self._executor.hands
        left = len(self._again) + sum(len(held.tasks) for held in self._held.values())
        return min(self._executor.hands, left)

    def _release(self) -> None:
        """Ends the hands that nothing is left for: a cluster's nodes may go while the last scans are in work."""
        for hand in [hand for hand, held in self._held.items() if not held.tasks]:
            del self._held[hand]
            hand.end()

    def _check_begun(self) -> None:
        """Raises :class:`BulkError` where nobody has begun for long: a cluster without a free CPU says nothing."""
        now = self._clock()
        if any(held.ready for held in self._held.values()):
            self._begun = now
        elif now - self._begun > BEGIN_SECONDS:
            raise BulkError(f"no worker could begin for {BEGIN_SECONDS:g} s: is a CPU free, and the model readable?")

    def _heard(self, hand: Hand, event: Event) -> Iterator[Outcome]:
        held = self._held.get(hand)
        if held is None:
            return  # it was given up meanwhile
        if isinstance(event, Gone):
            yield from self._lost(hand, event, LOST)
            return
        held.since = self._clock()
        if isinstance(event, Ready):
            held.ready, self._barren = True, 0
        elif held.tasks and held.tasks[0].key == event.key:
            self._tries.pop(held.tasks.popleft().key, None)
            yield event

    def _lost(self, hand: Hand, gone: Gone, code: str) -> Iterator[Outcome]:
        held = self._held.pop(hand)
        hand.end()
        left = list(held.tasks)
        if not held.ready:
            self._barren += gone.blamed  # a node that goes says nothing of those to come
            if self._barren >= MOST_BARREN:
                raise BulkError(f"{MOST_BARREN} workers ended before they could begin: {gone.why}")
        elif left:
            task = left.pop(0)
            self._tries[task.key] = self._tries.get(task.key, 0.0) + (1 if gone.blamed else TRIES / MOVES)
            if self._tries[task.key] > TRIES - 0.01:
                yield Lost(task, code, gone.why)
            else:
                self._say(f"a worker was lost ({gone.why}); its scan is tried once more")
                self._again.append(task)
        self._again.extend(left)

    def _too_slow(self) -> Iterator[Outcome]:
        now = self._clock()
        for hand, held in list(self._held.items()):
            if held.ready and held.tasks and now - held.since > self._limit:
                yield from self._lost(hand, Gone(f"longer than {self._limit:g} s"), SLOW)
