"""The queue: dbos on SQLite behind the few calls that jobs need. The one module that knows dbos.

What is queued survives the end of this process, however it comes; what was running is run again. dbos compares the
version of an application with the one that queued a job and leaves others' alone, so it is the contract's number and
not the code's. Values are kept as JSON: dbos' own way is pickle, which runs what it reads. Nothing is sent anywhere:
its console and its traces are asked for by settings and variables that are not given."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

VARIABLES = "DBOS__"  # by which dbos would take its settings, and another place to report to, from the environment
for _name in [name for name in os.environ if name.startswith(VARIABLES)]:
    del os.environ[_name]

from dbos import DBOS, DBOSConfig, Serializer, SetEnqueueOptions, SetWorkflowID, WorkflowStatus  # noqa: E402

CONTRACT = "1"
JOBS, HOOKS = "jobs", "webhooks"  # queues
SEGMENT, DELIVER = "segment", "deliver"  # workflows
POLL_SECONDS = 0.5
HOOKS_AT_A_TIME = 4
MOST_STARTS = 50  # of a job that is in work whenever the process is killed
END_SECONDS = 10
LOOKERS = 8  # questions about jobs at a time
WAITING, RUNNING = ("ENQUEUED", "DELAYED"), ("PENDING",)
ENDED = ("SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
AT_A_TIME = 500  # rows that are forgotten in one go


class Interrupted(BaseException):
    """The work stops as it stands, and begins anew when this folder is opened again. No ``Exception``: dbos writes down
    what is one as the end of the job."""


@dataclass(frozen=True)
class Row:
    """A job as the queue has it. ``status``: of :data:`WAITING`, :data:`RUNNING` or :data:`ENDED`; ``kept``: what was
    queued; ``outcome``: what its work gave, of a webhook whether it was delivered; ``started``: seconds since 1970."""

    name: str
    status: str
    kept: Mapping[str, Any]
    outcome: Any
    started: float | None


class _Json(Serializer):
    def serialize(self, data: Any) -> str:
        return json.dumps(data, default=lambda other: type(other).__name__)

    def deserialize(self, serialized_data: str) -> Any:
        return json.loads(serialized_data)

    def name(self) -> str:
        return "brainseg_json"


def _row(found: WorkflowStatus) -> Row:
    kept = found.input["args"][0] if found.input else {}
    started = found.dequeued_at / 1000 if found.dequeued_at else None
    return Row(found.workflow_id, found.status, kept, found.output, started)


class Queue:
    """``segment`` is called for a job with its name and what was queued, and gives the outcome; ``deliver`` with the
    name and the number of the try, and gives whether that did it, and after how many seconds to try again, None: no
    more. Both may be called again for a job that a kill cut off, and raise nothing but :class:`Interrupted`. One in a
    process."""

    def __init__(
        self,
        folder: Path,
        running: int,
        segment: Callable[[str, Mapping[str, Any]], Mapping[str, Any]],
        deliver: Callable[[str, int], tuple[bool, float | None]],
    ) -> None:
        self._path = folder
        self._running = running
        self._segment = segment
        self._deliver = deliver
        # What is asked from within a workflow dbos writes down, and gives the same answer when the workflow runs again;
        # here the state of now is meant, so it is asked from elsewhere.
        self._outside = ThreadPoolExecutor(LOOKERS, thread_name_prefix="jobs-look")

    def start(self) -> None:
        """Goes on with what there is."""
        logger = logging.getLogger("dbos")
        if not logger.handlers:  # else dbos writes to the console, past our log
            logger.addHandler(logging.NullHandler())
        config: DBOSConfig = {
            "name": "brainseg",
            "application_version": CONTRACT,
            "system_database_url": f"sqlite:///{self._path.resolve()}",
            "serializer": _Json(),
            "log_level": "WARNING",
            "enable_otlp": False,
        }
        DBOS(config=config)

        def segment(kept: Mapping[str, Any]) -> Mapping[str, Any]:
            name = str(DBOS.workflow_id)
            outcome = self._segment(name, kept)
            if kept.get("webhook"):
                self._hook(name, 1, None)
            return outcome

        def deliver(name: str, number: int) -> bool:
            delivered, after = self._deliver(name, number)
            if after is not None:
                self._hook(name, number + 1, after)
            return delivered

        self._segment_later = DBOS.workflow(name=SEGMENT, max_recovery_attempts=MOST_STARTS)(segment)
        self._deliver_later = DBOS.workflow(name=DELIVER, max_recovery_attempts=MOST_STARTS)(deliver)
        DBOS.launch()
        logger.propagate = True
        DBOS.register_queue(JOBS, worker_concurrency=self._running, polling_interval_sec=POLL_SECONDS)
        DBOS.register_queue(HOOKS, worker_concurrency=HOOKS_AT_A_TIME, polling_interval_sec=POLL_SECONDS)

    def end(self) -> None:
        """Takes no more; the work has to stop by :class:`Interrupted`."""
        DBOS.destroy(workflow_completion_timeout_sec=END_SECONDS, destroy_registry=True)
        self._outside.shutdown(wait=False, cancel_futures=True)

    def add(self, name: str, kept: Mapping[str, Any]) -> None:
        """Once this returns the job is accepted. A second time changes nothing."""
        with SetWorkflowID(name):
            DBOS.enqueue_workflow(JOBS, self._segment_later, dict(kept))

    def _hook(self, name: str, number: int, after: float | None) -> None:
        with SetWorkflowID(_hook_name(name, number)), SetEnqueueOptions(delay_seconds=after):
            DBOS.enqueue_workflow(HOOKS, self._deliver_later, name, number)

    def row(self, name: str) -> Row | None:
        """As it is now."""
        found = self._outside.submit(DBOS.get_workflow_status, name).result()
        return _row(found) if found else None

    def rows(self, statuses: Sequence[str]) -> list[Row]:
        """All jobs with one of ``statuses``."""
        return [_row(found) for found in DBOS.list_workflows(name=SEGMENT, status=list(statuses))]

    def count(self, statuses: Sequence[str]) -> int:
        found = DBOS.list_workflows(name=SEGMENT, status=list(statuses), load_input=False, load_output=False)
        return len(found)

    def names(self) -> set[str]:
        """Of all jobs, those that are done among them."""
        return {one.workflow_id for one in DBOS.list_workflows(name=SEGMENT, load_input=False, load_output=False)}

    def hooks(self, name: str) -> list[Row]:
        """The tries to deliver a job's end."""
        begin = _hook_name(name, None)  # dbos takes it for a pattern, in which _ is any letter
        found = self._outside.submit(lambda: DBOS.list_workflows(workflow_id_prefix=begin)).result()
        rows = [_row(one) for one in found]
        return [row for row in rows if row.name.startswith(begin)]

    def cancel(self, name: str) -> None:
        """Where it is not done yet."""
        DBOS.cancel_workflow(name)

    def forget(self, names: Iterable[str]) -> None:
        """What is known of jobs that are done, their webhooks too."""
        for name in names:
            DBOS.delete_workflows([*(hook.name for hook in self.hooks(name)), name])

    def ended_before(self, seconds: float) -> list[str]:
        """Names of jobs that were done by then, in seconds since 1970; not all where there are many."""
        before = datetime.fromtimestamp(seconds, UTC).isoformat()
        found = DBOS.list_workflows(
            name=SEGMENT, status=list(ENDED), completed_before=before, limit=AT_A_TIME, load_input=False,
            load_output=False,
        )  # fmt: skip
        return [one.workflow_id for one in found]


def _hook_name(name: str, number: int | None) -> str:
    """No job's name has a slash; None: how the names of all tries begin."""
    return f"hook/{name}/{'' if number is None else number}"
