"""Who answers a request that names no version: the live version, or for its share the one on trial.

A request that the one on trial cannot answer by a fault of ours goes to the live version: the fault is counted, and no
client pays for it. The same when the trial is taken back while it waits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from exchange.outcome import Outcome
from exchange.trial import BY_REQUEST, CANARY, ENDS, SHADOW, Trial
from web.contract.fields import Answer, RefusedError
from web.health.metrics import Metrics, Rows
from web.health.watch import Watch
from web.shares.reading import FAULTS, outcome_of
from web.shares.trials import Trials
from web.way.submission import Submission

# Refusals that say something of the version asked, or of its queue, and nothing of the request.
ELSEWHERE = (
    "model_not_found",
    "not_ready",
    "queue_full",
    "rate_limited",
    "worker_lost",
    "out_of_memory",
    "internal_error",
)
Forward = Callable[[Submission, Callable[[], bool]], Answer]


class _TakenBackError(Exception):
    """The trial ended while a request of its share was under way."""


def key_of(trial: Trial, submission: Submission, client: str, request_id: str) -> str:
    """What a request is known by: the client's ``X-Request-Key``, else the name of its key. One without keys is alone
    on this machine, and its requests are told apart by themselves."""
    if submission.sticky:
        return f"sent {submission.sticky}"
    if trial.by == BY_REQUEST or not client.startswith("key "):
        return f"request {request_id}"
    return client


class Shares:
    """``offer``: is given what a shadow is to see too, when it has been answered. Safe to use from several threads."""

    def __init__(
        self,
        trials: Trials,
        watch: Watch,
        metrics: Metrics,
        offer: Callable[[Trial, Submission, str, Answer], None] = lambda *_: None,
    ) -> None:
        self._trials = trials
        self._watch = watch
        self._offer = offer
        self._requests = metrics.counter(
            "brainseg_front_trial_requests",
            "Requests without a version while one was on trial, by who was to answer and what became of them",
            ("model_version", "arm", "what"),
        )
        metrics.gauges(
            "brainseg_front_trial_share",
            "Percent of the requests that a version on trial answers (canary) or gets copies of (shadow)",
            ("model_version", "kind"),
            self.samples,
        )
        metrics.gauges(
            "brainseg_front_trial_ended",
            "1 for how the last trial ended; breached: by its figures",
            ("model_version", "kind", "why"),
            self.ends,
        )

    def answer(
        self, submission: Submission, request_id: str, client: str, gone: Callable[[], bool], forward: Forward
    ) -> Answer:
        """What ``forward`` answers, asked for the version on trial where it is that one's turn. Raises as
        ``forward`` does."""
        trial = self._trials.now()
        if trial is None or trial.ended or not trial.share or submission.version is not None:
            return forward(submission, gone)
        if trial.kind == SHADOW:
            answer = forward(submission, gone)
            if answer.status == 200 and trial.takes(f"request {request_id}"):
                self._offer(trial, submission, request_id, answer)
            return answer
        if trial.takes(key_of(trial, submission, client, request_id)) and self._there(trial):
            taken = self._by_candidate(trial, submission, gone, forward)
            return forward(submission, gone) if taken is None else taken
        try:
            answer = forward(submission, gone)
        except RefusedError as refusal:
            self._note(trial, Outcome(False, refusal.code in FAULTS))
            raise
        self._note(trial, outcome_of(answer, False))
        return answer

    def samples(self) -> Rows:
        """For a gauge: the share of what is on trial; 0 once it has ended."""
        trial = self._trials.now()
        return [({"model_version": trial.version, "kind": trial.kind}, trial.share)] if trial else []

    def ends(self) -> Rows:
        """For a gauge: how the last trial ended, each way of it."""
        trial = self._trials.now()
        labels = {"model_version": trial.version, "kind": trial.kind} if trial else {}
        return [({**labels, "why": why}, float(trial.ended == why)) for why in ENDS] if trial else []

    def _there(self, trial: Trial) -> bool:
        """Whether the version on trial can answer, and is not the live one already."""
        fleet = self._watch.view().fleet
        found = fleet.find(trial.version) if fleet and fleet.default != trial.version else None
        return bool(found and found.ready)

    def _by_candidate(
        self, trial: Trial, submission: Submission, gone: Callable[[], bool], forward: Forward
    ) -> Answer | None:
        """None when the live version is to answer instead."""

        def over() -> bool:
            if gone():
                return True
            if self._trials.over(trial):
                raise _TakenBackError
            return False

        try:
            answer = forward(replace(submission, version=trial.version), over)
        except _TakenBackError:
            return None
        except RefusedError as refusal:
            if refusal.code in ELSEWHERE and self._trials.over(trial):
                return None  # it was taken out of the server: no fault of its
            self._note(trial, Outcome(True, refusal.code in FAULTS), fell_back=refusal.code in ELSEWHERE)
            if refusal.code in ELSEWHERE:
                return None
            raise
        failed = answer.status == 500
        self._note(trial, outcome_of(answer, True), fell_back=failed)
        return None if failed else answer

    def _note(self, trial: Trial, outcome: Outcome, fell_back: bool = False) -> None:
        what = "fell_back" if fell_back else "fault" if outcome.fault else "answered"
        self._requests.labels(trial.version, "candidate" if outcome.candidate else "live", what).inc()
        if trial.kind == CANARY:
            self._trials.note(trial, outcome)
