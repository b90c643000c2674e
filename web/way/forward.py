"""A submission's way to TorchServe and back: a place, one try, another if the worker died, the answer."""

from __future__ import annotations

import time
from collections.abc import Callable

from web.contract.fields import Answer, RefusedError
from web.contract.translate import died, from_handler, passed_on, refusal, unserved
from web.health.watch import Watch
from web.settings import Bounds
from web.way.gate import Gate
from web.way.submission import Submission
from web.way.suspects import TRIES, Suspects
from web.way.torchserve import TorchServe
from web.way.wire import Reply

LOST = "The worker died on this request, {}. If other scans go through, this one may be the cause: save it again."


class Forward:
    """``retried`` is called once for each second try. Safe to use from several threads."""

    def __init__(
        self, server: TorchServe, watch: Watch, gate: Gate, bounds: Bounds, retried: Callable[[], None]
    ) -> None:
        self._server = server
        self._watch = watch
        self._gate = gate
        self._bounds = bounds
        self._suspects = Suspects()
        self._retried = retried

    def __call__(self, submission: Submission, request_id: str, client: str, gone: Callable[[], bool]) -> Answer:
        """The handler's answer. Raises the contract's refusals, and :class:`web.way.gate.GoneError` when ``gone()``
        said that the client hung up while it waited."""
        with self._gate.place(len(submission.scan), client, gone):
            earlier = self._suspects.deaths(submission)
            if earlier >= TRIES:
                raise RefusedError("worker_lost", LOST.format("as others did over the same scan"))
            reply = self._patient(submission, request_id)
            if died(reply):
                reply = self._again(submission, request_id)
        if from_handler(reply):
            return passed_on(reply)
        raise refusal(reply, submission.version)

    def _again(self, submission: Submission, request_id: str) -> Reply:
        """The second try, which only an input gets that has no other death to its name: it may be the killer."""
        if self._suspects.add(submission) > 1:
            raise RefusedError("worker_lost", LOST.format("as one did before over the same scan"))
        self._retried()
        self._watch.await_ready(submission.version)
        reply = self._patient(submission, request_id)
        if died(reply):
            self._suspects.add(submission)
            raise RefusedError("worker_lost", LOST.format("and again on the second try"))
        return reply

    def _patient(self, submission: Submission, request_id: str) -> Reply:
        """One reply to a request that TorchServe took. One it did not take, since its worker is starting, is held
        until a worker is ready."""
        reply = self._try(submission, request_id)
        if not unserved(reply):
            return reply
        view = self._watch.view(0)
        chosen = view.fleet.find(submission.version) if view.fleet else None
        if chosen is not None and chosen.ready:
            raise RefusedError("queue_full", "TorchServe's queue is full; try again.", 2)
        if not self._watch.await_ready(submission.version):
            raise RefusedError("not_ready", "No worker is ready to take the scan; try again later.", 10)
        reply = self._try(submission, request_id)
        if unserved(reply):
            raise RefusedError("queue_full", "TorchServe's queue is full; try again.", 2)
        return reply

    def _try(self, submission: Submission, request_id: str) -> Reply:
        since = time.monotonic()

        def look() -> None:
            self._watch.check_alive(submission.version, since)

        return self._server.predict(submission, request_id, self._bounds.answer_seconds, look)
