"""A submission's way to TorchServe and back: a place, one try, another if the worker died, the answer."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass

from web.contract.fields import Answer, RefusedError
from web.contract.translate import died, from_handler, passed_on, refusal, unserved
from web.health.watch import FRESH_SECONDS, Watch
from web.settings import Bounds
from web.way.gate import Gate, GoneError, Work
from web.way.submission import Submission
from web.way.suspects import TRIES, Suspects
from web.way.torchserve import TorchServe
from web.way.wanted import Wanted
from web.way.wire import Reply

logger = logging.getLogger(__name__)
LOST = "The worker died on this request, {}. If other scans go through, this one may be the cause: save it again."


@dataclass(frozen=True)
class _Trip:
    """What goes with a submission to TorchServe. ``told``: headers by which the worker sees that it is wanted."""

    submission: Submission
    request_id: str
    told: Mapping[str, str]
    check: Callable[[], None]


class Forward:
    """``retried`` is called once for each second try; ``ending``: set when what is in work has to end. Safe to use from
    several threads."""

    def __init__(
        self,
        server: TorchServe,
        watch: Watch,
        gate: Gate,
        wanted: Wanted,
        bounds: Bounds,
        retried: Callable[[], None],
        ending: threading.Event,
    ) -> None:
        self._server = server
        self._watch = watch
        self._gate = gate
        self._wanted = wanted
        self._bounds = bounds
        self._suspects = Suspects()
        self._retried = retried
        self._ending = ending

    def __call__(self, submission: Submission, request_id: str, client: str, gone: Callable[[], bool]) -> Answer:
        """The handler's answer. Raises the contract's refusals, and :class:`web.way.gate.GoneError` when ``gone()``
        said that the client hung up."""

        def check() -> None:
            if gone():
                raise GoneError
            if self._ending.is_set():
                logger.warning("cut off at the end: id=%s", request_id)
                raise RefusedError("not_ready", "The server is being stopped; try again in a while.", 5)

        version = self._version(submission.version)
        work = Work(version, len(submission.scan), submission.long)
        with self._gate.place(work, client, check), self._wanted.kept(version) as told:
            trip = _Trip(submission, request_id, told, check)
            earlier = self._suspects.deaths(submission)
            if earlier >= TRIES:
                raise RefusedError("worker_lost", LOST.format("as others did over the same scan"))
            with self._suspects.alone(check) if earlier else nullcontext():
                reply = self._patient(trip)
            if died(reply):
                with self._suspects.alone(check):
                    reply = self._again(trip)
        if from_handler(reply):
            return passed_on(reply, request_id)
        raise refusal(reply, submission.version)

    def _version(self, asked: str | None) -> str:
        """The name of the version that will answer, as far as it is known. Raises ``model_not_found``."""
        if asked is None:
            fleet = self._watch.view().fleet
            return fleet.default if fleet else ""
        for fresh in (FRESH_SECONDS, 0.0):  # it may have been registered a moment ago
            fleet = self._watch.view(fresh).fleet
            if fleet is None or fleet.find(asked):
                return asked
        raise RefusedError("model_not_found", f"No version {asked}; GET /api/v1/models lists them.")

    def _again(self, trip: _Trip) -> Reply:
        """The second try, which only an input gets that has no other death to its name: it may be the killer."""
        submission = trip.submission
        if self._suspects.add(submission) > 1:
            raise RefusedError("worker_lost", LOST.format("as one did before over the same scan"))
        self._retried()
        self._watch.await_ready(submission.version)
        reply = self._patient(trip)
        if died(reply):
            self._suspects.add(submission)
            raise RefusedError("worker_lost", LOST.format("and again on the second try"))
        return reply

    def _patient(self, trip: _Trip) -> Reply:
        """One reply to a request that TorchServe took. One it did not take, since its worker is starting, is held
        until a worker is ready."""
        submission = trip.submission
        reply = self._try(trip)
        if not unserved(reply):
            return reply
        view = self._watch.view(0)
        chosen = view.fleet.find(submission.version) if view.fleet else None
        if chosen is not None and chosen.ready:
            raise RefusedError("queue_full", "TorchServe's queue is full; try again.", 2)
        if not self._watch.await_ready(submission.version):
            raise RefusedError("not_ready", "No worker is ready to take the scan; try again later.", 10)
        reply = self._try(trip)
        if unserved(reply):
            raise RefusedError("queue_full", "TorchServe's queue is full; try again.", 2)
        return reply

    def _try(self, trip: _Trip) -> Reply:
        since = time.monotonic()

        def look() -> None:
            trip.check()
            self._watch.check_alive(trip.submission.version, since)

        return self._server.predict(trip.submission, trip.request_id, self._bounds.answer_seconds, look, trip.told)
