"""Jobs as clients know them: accepted once, looked at, cancelled, forgotten; each by whoever made it."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from web.contract.fields import JOBS_PATH, Answer, RefusedError
from web.jobs.hook import PAUSES, Hook, read_secret
from web.jobs.order import Order, name_of, order_of, prefix_of
from web.jobs.queue import ENDED, RUNNING, WAITING, Interrupted, Queue, Row
from web.jobs.store import DATABASE, LONGEST_SECONDS, SECRET, Store
from web.jobs.work import Work
from web.settings import JobBounds

if TYPE_CHECKING:
    from web.door import Door
    from web.way.submission import Submission

logger = logging.getLogger(__name__)
SWEEP_SECONDS = 10.0
WAIT_SECONDS = 0.1
AGAIN_SECONDS = 30
STATES = ("queued", "running", "succeeded", "failed", "cancelled")
FINAL = STATES[2:]


@dataclass(frozen=True)
class Job:
    """``state``: one of :data:`STATES`. ``told``: the job as the contract's JSON has it."""

    name: str
    order: Order
    state: str
    told: Mapping[str, Any]

    @property
    def final(self) -> bool:
        return self.state in FINAL


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _state(row: Row) -> str:
    if row.status in (*WAITING, *RUNNING):
        return "queued" if row.status in WAITING else "running"
    if row.status == "CANCELLED":
        return "cancelled"
    return "succeeded" if row.outcome and row.outcome["status"] == 200 else "failed"


class Jobs:
    """Takes the folder at once and works from :meth:`start` on. Raises ``OSError`` or ``ValueError`` for a folder that
    cannot be used. Safe to use from several threads; one in a process."""

    def __init__(self, here: Door, bounds: JobBounds) -> None:
        self._here = here
        self._bounds = bounds
        self._store = Store(bounds.folder, bounds.keep_seconds)
        try:
            self.hook = Hook(bounds.hosts, read_secret(bounds.folder / SECRET))
        except BaseException:
            self._store.close()
            raise
        ended = here.metrics.counter("brainseg_front_jobs_ended", "Jobs that ended, by how", ("state",))
        for state in FINAL:
            ended.labels(state)

        def count(state: str) -> None:
            ended.labels(state).inc()

        self._count_ended = count
        self._work = Work(here, self._store, self._wanted, count)
        self._queue = Queue(bounds.folder / DATABASE, bounds.running, self._work, self._deliver)
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._sweeper = threading.Thread(target=self._sweep, daemon=True, name="jobs-sweep")
        self.watchers = threading.BoundedSemaphore(here.settings.bounds.watchers)
        self._running = False

    def start(self) -> None:
        """Goes on with the jobs that there are."""
        self._queue.start()
        self._store.clear(self._queue.names(), {row.name for row in self._queue.rows((*WAITING, *RUNNING))})
        self._running = True
        self._gauges()
        self._sweeper.start()

    def stop(self) -> None:
        """Works no more, and leaves what is in work to the next start; jobs are still accepted."""
        self._ending.set()
        self._work.stop()

    def end(self) -> None:
        """After :meth:`stop`: lets go of the folder."""
        self.stop()
        self._work.end()
        if self._running:
            self._running = False
            self._queue.end()
            self._sweeper.join()
        self._store.close()

    @property
    def ending(self) -> bool:
        return self._ending.is_set()

    def submit(self, order: Order, submission: Submission) -> Job:
        """Accepts a job: once this returns it will be done. The same request again is the same job. Raises ``conflict``
        where another request has the id, ``queue_full`` or ``rate_limited`` where there is no room."""
        name = order.name
        with self._lock:
            if (row := self._queue.row(name)) is not None:
                if order_of(row.kept).digest != order.digest:
                    raise RefusedError(
                        "conflict", "Another request has made a job with this id or Idempotency-Key; take a new one."
                    )
                return self._job(row)
            self._check_room(order)
            self._keep(name, submission)
            try:
                self._queue.add(name, order.kept())
            except BaseException:
                self._store.drop_body(name)
                raise
        return self.find(order.owner, order.identity)

    def find(self, owner: str, identity: str) -> Job:
        """Raises ``job_not_found`` where this owner has no such job."""
        row = self._queue.row(name_of(owner, identity))
        if row is None:
            raise RefusedError("job_not_found", "There is no such job, or it was forgotten a while after its end.")
        return self._job(row)

    def result(self, owner: str, identity: str) -> tuple[Job, Answer]:
        """What ``POST /api/v1/segment`` would have answered. Raises ``job_not_found`` where it is not kept any more,
        ``conflict`` while there is none."""
        job = self.find(owner, identity)
        if not job.final:
            raise RefusedError("conflict", f"The job is {job.state}: there is no result yet; ask again.", 1)
        if job.state == "cancelled":
            raise RefusedError("conflict", "The job was cancelled: it has no result.")
        answer = self._store.answer(job.name)
        if answer is None:
            raise RefusedError(
                "job_not_found", "The result was delivered, or not fetched in time; it is kept no longer."
            )
        return job, answer

    def fetched(self, job: Job) -> None:
        """The client has the result."""
        self._store.fetched(job.name)

    def remove(self, owner: str, identity: str) -> Job | None:
        """Cancels a job that is not done, and gives it back as it is then; forgets one that is: None."""
        job = self.find(owner, identity)
        if not job.final:
            self._queue.cancel(job.name)
            self._work.cancel(job.name)
            job = self.find(owner, identity)
            if job.state == "cancelled":
                self._store.drop(job.name)
                self._count_ended("cancelled")
            return job
        self._queue.forget([job.name])
        self._store.drop(job.name)
        return None

    def _keep(self, name: str, submission: Submission) -> None:
        """Raises ``queue_full`` where the disk is."""
        try:
            self._store.put_body(name, submission.scan)
        except OSError as error:
            logger.error("a job is refused, its scan cannot be kept: %s", error.strerror)
            raise RefusedError(
                "queue_full", "The scan cannot be kept until its turn; try again later.", AGAIN_SECONDS
            ) from error

    def _check_room(self, order: Order) -> None:
        """Lock held."""
        bounds, share = self._bounds, self._here.settings.bounds.client_share
        held = self._store.held(prefix_of(order.owner))
        if held.count >= bounds.most or held.size + order.size > bounds.most_bytes:
            raise RefusedError("queue_full", f"{held.count} jobs are waiting; try again.", AGAIN_SECONDS)
        most = max(1, int(share * bounds.most))
        if held.own_count >= most or held.own_size + order.size > share * bounds.most_bytes:
            raise RefusedError(
                "rate_limited", f"{held.own_count} jobs of this client are waiting, at most {most} may.", AGAIN_SECONDS
            )

    def _job(self, row: Row) -> Job:
        order, state, path = order_of(row.kept), _state(row), f"{JOBS_PATH}/{order_of(row.kept).identity}"
        outcome = row.outcome or {}
        has_result = state in ("succeeded", "failed") and self._store.has_answer(row.name)
        told = {
            "id": order.identity,
            "state": state,
            "created": _time(order.created),
            "started": _time(row.started),
            "ended": _time(outcome.get("ended")),
            "ahead": self._store.ahead(row.name) if state == "queued" else None,
            "status": outcome.get("status"),
            "code": outcome.get("code"),
            "webhook": self._hook_state(row) if order.webhook else None,
            "result": f"{path}/result" if has_result else None,
            "events": f"{path}/events",
        }
        return Job(row.name, order, state, told)

    def _hook_state(self, row: Row) -> str:
        tries = self._queue.hooks(row.name)
        if any(one.outcome is True for one in tries):
            return "delivered"
        return "failed" if sum(one.status in ENDED for one in tries) > len(PAUSES) else "waiting"

    def _wanted(self, name: str) -> bool:
        row = self._queue.row(name)
        return row is not None and row.status in RUNNING

    def _deliver(self, name: str, number: int) -> tuple[bool, float | None]:
        """As :class:`web.jobs.queue.Queue` wants it. The end of the job is written down just after its webhook is
        queued: who asks for the result, once told, must find it."""
        while (row := self._queue.row(name)) is not None and row.status not in ENDED:
            if self._ending.wait(WAIT_SECONDS):
                raise Interrupted
        if row is None:
            return False, None
        told = self._job(row).told
        said = {"type": "job.ended", "timestamp": told["ended"], "data": {**told, "webhook": "delivered"}}
        if self.hook.send(order_of(row.kept).webhook or "", name, json.dumps(said).encode()):
            return True, None
        return False, PAUSES[number - 1] if number <= len(PAUSES) else None

    def _sweep(self) -> None:
        while not self._ending.wait(SWEEP_SECONDS):
            try:
                now = time.time()
                self._store.sweep(now)
                over = now - max(LONGEST_SECONDS, self._bounds.keep_seconds)
                for name in self._queue.ended_before(over):
                    self._queue.forget([name])
                    self._store.drop(name)
            except Exception as error:  # the next one may do better
                logger.error("jobs were not swept: %s", type(error).__name__)

    def _gauges(self) -> None:
        metrics = self._here.metrics

        def count(*statuses: str) -> float:
            return float(self._queue.count(statuses)) if self._running else 0.0

        metrics.gauges(
            "brainseg_front_jobs",
            "Jobs that are not done, by state",
            ("state",),
            lambda: [({"state": "queued"}, count(*WAITING)), ({"state": "running"}, count(*RUNNING))],
        )
        metrics.gauge("brainseg_front_jobs_bytes", "Bytes of their bodies", lambda: self._store.held("").size)
        metrics.gauge("brainseg_front_jobs_oldest_seconds", "Age of the oldest", self._store.oldest_seconds)
