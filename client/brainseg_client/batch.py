"""Many scans, some at a time: each is asked for once, and what an earlier run finished is not asked for again."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

from brainseg_client.api import Client
from brainseg_client.errors import AccessError, BrainSegError, BusyError, UnreachableError
from brainseg_client.jobs import Job
from brainseg_client.outcome import Asked, read_done, write_results
from brainseg_client.results import Segmentation
from brainseg_client.windows import in_windows

HOPELESS = (AccessError, UnreachableError, BusyError)  # what befalls every other scan as well


@dataclass
class Batch:
    """What came of the jobs so far, by their order. ``stopped_by``: the error after which going on had no use."""

    records: dict[int, dict[str, Any]] = field(default_factory=dict)
    kept: int = 0
    failed: int = 0
    interrupted: bool = False
    stopped_by: BrainSegError | None = None

    def in_order(self) -> list[dict[str, Any]]:
        return [self.records[number] for number in sorted(self.records)]


def _segment(client: Client, data: bytes, asked: Asked) -> Segmentation:
    def fetch(slices: tuple[int, int] | None, pictures: bool) -> Segmentation:
        return client.segment(
            data,
            version=asked.version,
            threshold=asked.threshold,
            min_lesion_pixels=asked.min_lesion_pixels,
            outputs=("mask", "overlay") if pictures else (),
            slices=slices,
        )

    return in_windows(fetch)


def run_job(client: Client, job: Job, asked: Asked, stop: threading.Event) -> tuple[dict[str, Any] | None, bool]:
    """The record of ``job`` and whether it was there already; None when ``stop`` was set before it began. Raises
    :class:`BrainSegError` or ``OSError``."""
    if stop.is_set():
        return None, False
    data = job.scan.read_bytes()
    done = read_done(job, asked, hashlib.sha256(data).hexdigest())
    if done is not None:
        return done, True
    return write_results(job, asked, _segment(client, data, asked)), False


def _note(batch: Batch, number: int, job: Job, work: Future[tuple[dict[str, Any] | None, bool]]) -> None:
    try:
        record, kept = work.result()
    except HOPELESS as error:
        batch.stopped_by = batch.stopped_by or error
    except (BrainSegError, OSError) as error:
        code, detail = (error.code, error.detail) if isinstance(error, BrainSegError) else ("unreadable", str(error))
        batch.records[number] = {"file": job.name, "code": code, "detail": detail}
        batch.failed += 1
    else:
        if record is not None:
            batch.records[number] = record
            batch.kept += kept


def run_batch(client: Client, jobs: Sequence[Job], asked: Asked, parallel: int, advance: Callable[[], None]) -> Batch:
    """Runs ``jobs``, ``parallel`` at a time; ``advance`` is called after each. Ctrl-C ends it after those in work."""
    batch, stop = Batch(), threading.Event()
    with ThreadPoolExecutor(parallel) as pool:
        waiting = {pool.submit(run_job, client, job, asked, stop): number for number, job in enumerate(jobs)}
        while waiting:
            try:
                finished, _ = wait(waiting, return_when=FIRST_COMPLETED)
            except KeyboardInterrupt:
                batch.interrupted = True
                stop.set()
                continue
            for work in finished:
                number = waiting.pop(work)
                _note(batch, number, jobs[number], work)
                advance()
            if batch.stopped_by:
                stop.set()
    return batch
