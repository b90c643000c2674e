"""Processes of this machine, each with a pipe of its own: whoever kills one breaks nobody else's."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import Connection, wait

from bulk.crew import Event, Gone, Hand, Ready
from bulk.release import Opened, one_thread
from bulk.task import Done, Task
from bulk.worker import Setup, Worker

END_SECONDS = 5.0
_context = multiprocessing.get_context("spawn")  # a fork would have the other workers' pipes too


def serve(pipe: Connection, setup: Setup, archive: str) -> None:
    """The process: opens the model, then a result for each task, until there is nobody to ask for one."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # they go to the whole group; the driver says when to end
    try:
        with open(archive, "rb") as file:  # noqa: PTH123  a descriptor's path as well
            worker = Worker(setup, file.read())
    except Exception as error:
        pipe.send(Gone(f"{type(error).__name__}: {error}"))
        return
    with contextlib.suppress(EOFError, OSError):  # the driver is gone
        pipe.send(Ready())
        while (task := pipe.recv()) is not None:
            pipe.send(worker.work(task))


TARGET = serve


class ProcessHand:
    """``pipe``: the driver's end."""

    def __init__(self, setup: Setup, archive: str) -> None:
        self.pipe, theirs = _context.Pipe()
        self._process = _context.Process(target=TARGET, args=(theirs, setup, archive), daemon=True)
        self._process.start()
        theirs.close()  # so that its death is heard

    def give(self, task: Task) -> None:
        with contextlib.suppress(OSError):  # it is gone: that is heard soon
            self.pipe.send(task)

    def heard(self) -> list[Event]:
        """What has come by now, in order."""
        events: list[Event] = []
        try:
            while self.pipe.poll():
                events.append(self.pipe.recv())
        except (EOFError, OSError):
            self._process.join(END_SECONDS)
            code = self._process.exitcode
            name = f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit status {code}"
            events.append(Gone(name))
        return events

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self.pipe.close()

    def dismiss(self) -> None:
        """It ends by itself, having nothing to do."""
        with contextlib.suppress(OSError):
            self.pipe.send(None)


class Pool:
    """``archive``: the path of the archive, which each process reads and verifies by itself."""

    def __init__(self, hands: int, setup: Setup, archive: str) -> None:
        self.hands, self._setup, self._archive = hands, setup, archive
        self.started: list[ProcessHand] = []
        one_thread()

    def start(self) -> Hand:
        hand = ProcessHand(self._setup, self._archive)
        self.started = [one for one in self.started if not one.pipe.closed]
        self.started.append(hand)
        return hand

    def wait(self, hands: list[Hand], seconds: float) -> list[tuple[Hand, Event]]:
        pipes = {hand.pipe: hand for hand in hands if isinstance(hand, ProcessHand)}
        ready = wait(list(pipes), seconds)
        return [(pipes[pipe], event) for pipe in ready for event in pipes[pipe].heard()]  # type: ignore[index]

    def close(self) -> None:
        left = [hand for hand in self.started if not hand.pipe.closed]
        for hand in left:
            hand.dismiss()
        for hand in left:
            hand._process.join(END_SECONDS)
            hand.end()


class Alone:
    """No process beside this one: for stores that only it sees (``memory://``), and for looking what a scan does."""

    hands = 1

    def __init__(self, setup: Setup, opened: Opened) -> None:
        one_thread()
        self._make: Callable[[], Worker] = lambda: Worker(setup, opened.content)
        self._worker: Worker | None = None
        self._tasks: deque[Task] = deque()

    def start(self) -> Hand:
        return self

    def give(self, task: Task) -> None:
        self._tasks.append(task)

    def end(self) -> None:
        self._tasks.clear()

    def wait(self, hands: list[Hand], _seconds: float) -> list[tuple[Hand, Event]]:
        if self._worker is None:
            self._worker = self._make()
            return [(self, Ready())]
        done: Done = self._worker.work(self._tasks.popleft())
        return [(hand, done) for hand in hands]

    def close(self) -> None:
        """Nothing is left."""
