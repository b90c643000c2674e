"""Copies of requests that were answered, for a version that answers nobody: its mask is compared with the live one's.

A copy waits here until nobody waits for a place at TorchServe and the shadow's queue is empty; one is asked at a time.
Few are held, and none that is large: what does not fit is dropped and counted. Nothing that happens here reaches a
client."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from exchange.outcome import Compared
from exchange.trial import Trial
from web.contract.fields import MIB, Answer, RefusedError
from web.health.metrics import Metrics
from web.health.watch import Watch
from web.shares.compare import compared, has_masks
from web.shares.reading import version_of
from web.shares.trials import Trials
from web.way.gate import Gate
from web.way.submission import Submission
from web.way.torchserve import TorchServe
from web.way.wanted import Wanted

logger = logging.getLogger(__name__)
HELD = 4  # copies that wait
LARGEST = 8 * MIB  # of a scan, and of an answer whose masks are used
AFTER_SECONDS = 0.2  # the client has its answer by then
LOOK_SECONDS = 0.05
LATE_SECONDS = 60.0  # one that has found no idle moment by then is dropped
ANSWER_SECONDS = 660.0  # the handler gives up after 600
JSON = "application/json"
_NOT_COPIED = ("outputs", "slices", "passport", "seg")
DROPPED = ("full", "large", "late", "unanswered")
DICE = (0.5, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 1.0)
PERCENT = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


class _OverError(Exception):
    """The trial has ended, or the front door does."""


@dataclass(frozen=True)
class _Copy:
    trial: Trial
    submission: Submission
    request_id: str
    live: str
    answer: bytes | None  # of the client, where it has the masks
    time: float


class Shadow:
    """``ending``: set when what is in work has to end. Safe to use from several threads."""

    def __init__(
        self,
        server: TorchServe,
        watch: Watch,
        gate: Gate,
        wanted: Wanted,
        trials: Trials,
        metrics: Metrics,
        ending: threading.Event,
    ) -> None:
        self._server, self._watch, self._gate, self._wanted = server, watch, gate, wanted
        self._trials, self._ending = trials, ending
        self._change = threading.Condition()
        self._waiting: deque[_Copy] = deque()
        self._thread: threading.Thread | None = None
        label = ("model_version",)
        self._copies = metrics.counter(
            "brainseg_front_shadow_copies", "Copies for a shadow by what became of them", ("model_version", "what")
        )
        self._flips = metrics.counter("brainseg_front_shadow_flips", "Copies with another verdict than the live", label)
        self._dice = metrics.histogram(
            "brainseg_front_shadow_dice", "Dice between the masks of shadow and live version", label, DICE
        )
        self._area = metrics.histogram(
            "brainseg_front_shadow_area_percent",
            "Absolute difference of tumour in percent of all pixels",
            label,
            PERCENT,
        )

    def offer(self, trial: Trial, submission: Submission, request_id: str, answer: Answer) -> None:
        """Takes a copy of a request that ``answer`` answers, if there is room; never waits."""
        live = version_of(answer)
        whole = self._has_masks(submission, answer)
        copy = _Copy(trial, submission, request_id, live, answer.body if whole else None, time.monotonic())
        with self._change:
            if len(submission.scan) > LARGEST or not live:
                self._count(trial, "large" if live else "unanswered")
            elif len(self._waiting) >= HELD:
                self._count(trial, "full")
            else:
                # The scan itself is in a buffer of the connection, which is used again.
                self._waiting.append(replace(copy, submission=replace(submission, scan=bytes(submission.scan))))
                self._change.notify()
                if self._thread is None:
                    self._thread = threading.Thread(target=self._work, daemon=True, name="shadow")
                    self._thread.start()

    def _has_masks(self, submission: Submission, answer: Answer) -> bool:
        """As far as can be told without reading ``answer``."""
        outputs = submission.fields.get("outputs", "mask").split(",")
        is_json = answer.headers.get("Content-Type", "").startswith(JSON)
        return is_json and "mask" in outputs and "slices" not in submission.fields and len(answer.body) <= LARGEST

    def _count(self, trial: Trial, what: str) -> None:
        self._copies.labels(trial.version, what).inc()

    def _work(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: bool(self._waiting))
                copy = self._waiting[0]  # it holds its place until it is done
            try:
                self._count(copy.trial, self._one(copy))
            except _OverError:
                pass
            except Exception as error:  # ours: a shadow's fault must not end the thread
                logger.error("shadow: %s", type(error).__name__)
                self._count(copy.trial, "unanswered")
            with self._change:
                self._waiting.popleft()

    def _one(self, copy: _Copy) -> str:
        """What became of ``copy``. Raises :class:`_OverError`."""
        if not self._idle(copy, copy.trial.version):
            return "late"
        ours = self._ask(copy, copy.trial.version)
        if ours is None:
            self._trials.note(copy.trial, Compared(None, False, 0.0, failed=True))
            return "failed"
        live = json.loads(copy.answer) if copy.answer else None
        if live is None or not has_masks(live):
            live = self._ask(copy, copy.live) if self._idle(copy, copy.live, alone=True) else None
        if live is None:
            return "unanswered"
        digest = hashlib.sha256(copy.submission.scan).hexdigest()
        found = compared(live, ours, digest)
        version = copy.trial.version
        if found.dice is not None:
            self._dice.labels(version).observe(found.dice)
        self._area.labels(version).observe(abs(found.area))
        self._flips.labels(version).inc(float(found.flip))
        self._trials.note(copy.trial, found)
        return "compared"

    def _look(self, copy: _Copy) -> None:
        if self._ending.is_set() or self._trials.over(copy.trial):
            raise _OverError

    def _idle(self, copy: _Copy, version: str, alone: bool = False) -> bool:
        """Waits for a moment in which nobody waits for a place and nothing is queued for ``version``; ``alone``: and
        it has nothing in work for a client. Whether it came in time."""
        while time.monotonic() < copy.time + LATE_SECONDS:
            self._look(copy)
            if time.monotonic() > copy.time + AFTER_SECONDS and not self._gate.waiting:
                fleet = self._watch.view(patient=False).fleet
                found = fleet.find(version) if fleet else None
                if found and found.ready and not found.pending and not (alone and self._gate.busy(version)):
                    return True
            time.sleep(LOOK_SECONDS)
        return False

    def _ask(self, copy: _Copy, version: str) -> Mapping[str, Any] | None:
        """The answer of ``version`` with its masks; None where it gives none."""
        fields = {name: value for name, value in copy.submission.fields.items() if name not in _NOT_COPIED}
        asked = replace(copy.submission, fields={**fields, "outputs": "mask"}, accept=JSON, version=version)
        with self._wanted.kept(version) as told:
            try:
                reply = self._server.predict(
                    asked, f"shadow-{copy.request_id}"[:64], ANSWER_SECONDS, lambda: self._look(copy), told
                )
            except RefusedError:
                self._look(copy)
                return None
        found = json.loads(reply.body) if reply.status == 200 else None
        return found if isinstance(found, dict) and has_masks(found) else None
