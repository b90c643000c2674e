"""One job done: its body goes the way of every scan, its answer is written down. What is busy is waited for."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from web.contract.fields import Answer, RefusedError
from web.contract.translate import REFUSED_HEADER, main_reason, problem_code
from web.jobs.order import Order, order_of
from web.jobs.queue import Interrupted
from web.jobs.store import LONGEST_SECONDS, Store
from web.jobs.turns import Turns
from web.way.gate import GoneError
from web.way.take import take

if TYPE_CHECKING:
    from web.door import Door

logger = logging.getLogger(__name__)
WORTH_ANOTHER_TRY = ("queue_full", "not_ready", "rate_limited")
PAUSE_SECONDS, DISK_SECONDS, LOOK_SECONDS = 2.0, 30.0, 0.2


class Work:
    """``wanted``: whether a job is still to be done; ``ended``: is told how each job ended. Safe to use from several
    threads."""

    def __init__(self, here: Door, store: Store, wanted: Callable[[str], bool], ended: Callable[[str], None]) -> None:
        self._here = here
        self._store = store
        self._wanted = wanted
        self._ended = ended
        self._turns = Turns(self._ready, lambda: here.gate.waiting)
        self._ending, self._over = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._in_work: set[str] = set()
        self._cancelled: set[str] = set()

    def stop(self) -> None:
        """What is in work is left as it stands, and what comes waits for :meth:`end`."""
        self._ending.set()

    def end(self) -> None:
        """Lets go of what :meth:`stop` holds."""
        self.stop()
        self._over.set()

    def cancel(self, name: str) -> None:
        """Ends the work on a job that is not wanted any more, if it is in work."""
        with self._lock:
            if name in self._in_work:
                self._cancelled.add(name)

    def __call__(self, name: str, kept: Mapping[str, Any]) -> Mapping[str, Any]:
        """The outcome: ``status`` and ``code`` of the answer (``ok`` or a refusal's), ``ended`` in seconds since 1970.
        The answer is written down before this returns, and not made again where it was. Raises
        :class:`web.jobs.queue.Interrupted`."""
        order = order_of(kept)
        with self._lock:
            self._in_work.add(name)
        try:
            if not self._wanted(name):
                raise GoneError
            answer = self._done(name, order)
        except GoneError:
            if self._ending.is_set():
                self._over.wait()
            raise Interrupted from None
        finally:
            with self._lock:
                self._in_work.discard(name)
                cancelled = name in self._cancelled
                self._cancelled.discard(name)
            if cancelled:
                self._store.drop(name)
        code = "ok" if answer.status == 200 else problem_code(answer)
        logger.info("job id=%s status=%d code=%s", order.request_id, answer.status, code)
        self._ended("succeeded" if answer.status == 200 else "failed")
        return {"status": answer.status, "code": code, "ended": time.time()}

    def _done(self, name: str, order: Order) -> Answer:
        """Tries again where a file cannot be read or written, as on a full disk."""
        while True:
            try:
                answer = self._store.answer(name)
                if answer is None:
                    answer = self._answer(name, order)
                    self._store.put_answer(name, answer)
                self._store.drop_body(name)
            except OSError as error:
                logger.error("job id=%s: a file cannot be used: %s", order.request_id, type(error).__name__)
                self._pause(name, DISK_SECONDS)
            else:
                return answer

    def _ready(self, order: Order) -> int:
        of = self._here.beside(order.model) or self._here
        fleet = of.watch.view(patient=False).fleet
        found = fleet.find(order.version) if fleet else None
        return found.ready if found else 0

    def _gone(self, name: str) -> bool:
        return self._ending.is_set() or name in self._cancelled

    def _check(self, name: str) -> None:
        if self._gone(name):
            raise GoneError

    def _answer(self, name: str, order: Order) -> Answer:
        version = "none"

        def asks(found: str) -> None:
            nonlocal version
            version = found

        try:
            answer = self._patient(name, order, asks)
        except RefusedError as refusal:
            answer = _refused(refusal, order)
        except (GoneError, OSError):
            raise
        except Exception as error:  # ours; its message may quote what came in
            logger.error("fault id=%s %s", order.request_id, type(error).__name__)
            answer = _refused(RefusedError("internal_error", "The server's log says why."), order)
        metrics = self._here.metrics
        metrics.count_answer(version, "ok" if answer.status == 200 else problem_code(answer))
        if refused := answer.headers.get(REFUSED_HEADER.title()):
            metrics.count_refused(main_reason(refused), version)
        return answer

    def _patient(self, name: str, order: Order, asks: Callable[[str], None]) -> Answer:
        """Asks again what is busy or starting, for as long as anything is known of a job. The body is in memory only
        while it is this one's turn."""
        while True:
            try:
                with self._turns.turn(order, lambda: self._check(name)):
                    scan, gone = self._store.body(name), lambda: self._gone(name)
                    if scan is None:
                        raise RefusedError("internal_error", "The body of the job is gone; send it again.")
                    return take(self._here, order.submission(scan), order.request_id, order.owner, gone, asks)
            except RefusedError as refusal:
                if refusal.code not in WORTH_ANOTHER_TRY or time.time() - order.created > LONGEST_SECONDS:
                    raise
                self._pause(name, refusal.retry_after or PAUSE_SECONDS)

    def _pause(self, name: str, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._check(name)
            self._ending.wait(LOOK_SECONDS)


def _refused(refusal: RefusedError, order: Order) -> Answer:
    return Answer(refusal.status, refusal.headers(), refusal.body(order.request_id))
