"""Many scans, some at a time: each is asked for once, and what an earlier run finished is not asked for again."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from brainseg_client.api import Client
from brainseg_client.errors import AccessError, BrainSegError, BusyError, UnreachableError
from brainseg_client.files import read_scan
from brainseg_client.jobs import Job
from brainseg_client.records import Asked, Record, read_done, write_results
from brainseg_client.results import Segmentation
from brainseg_client.volumes import is_volume, read_series, result_of, unpacked
from brainseg_client.windows import in_windows

LOOK_SECONDS = 0.5  # a wait without end does not hear Ctrl-C everywhere


class StoppedError(Exception):
    """The run was told to end before this scan was done."""


class WriteError(Exception):
    """Results cannot be written: the disk is full, or the folder is not ours. It befalls every other scan as well."""


HOPELESS = (AccessError, UnreachableError, BusyError, WriteError)  # after which going on has no use
NAME_TOO_LONG = 36, 63, 206  # Linux, macOS, Windows: the fault of one name, not of the disk


@dataclass
class Batch:
    """What came of the jobs so far, by their order. ``stopped_by``: the error after which going on had no use."""

    records: dict[int, Record] = field(default_factory=dict)
    kept: int = 0
    failed: int = 0
    stopped_by: BrainSegError | WriteError | None = None


def _segment(client: Client, data: bytes, asked: Asked, stopped: Callable[[], bool]) -> Segmentation:
    def fetch(slices: tuple[int, int] | None, pictures: bool) -> Segmentation:
        if stopped():
            raise StoppedError
        return client.segment(
            data,
            version=asked.version,
            threshold=asked.threshold,
            min_lesion_pixels=asked.min_lesion_pixels,
            outputs=("mask", "overlay") if pictures else (),
            slices=slices,
            tta=asked.tta,
            model=asked.model,
        )

    return in_windows(fetch)


def _bundle(client: Client, data: bytes, asked: Asked, stopped: Callable[[], bool]) -> dict[str, bytes]:
    if stopped():
        raise StoppedError
    answer = client.archive(
        data,
        version=asked.version,
        threshold=asked.threshold,
        min_lesion_pixels=asked.min_lesion_pixels,
        tta=asked.tta,
        model=asked.model,
    )
    return unpacked(answer)


def run_job(client: Client, job: Job, asked: Asked, stopped: Callable[[], bool]) -> tuple[Record, bool]:
    """The record of ``job`` and whether it was there already. Raises :class:`StoppedError` once ``stopped`` says so,
    :class:`WriteError`, :class:`BrainSegError`, or ``OSError`` where the scan cannot be read."""
    if stopped():
        raise StoppedError
    data = read_series(job.parts) if job.parts else read_scan(job.scan)
    done = read_done(job, asked, hashlib.sha256(data).hexdigest())
    if done is not None:
        return done, True
    bundle = _bundle(client, data, asked, stopped) if is_volume(data) else None
    found = _segment(client, data, asked, stopped) if bundle is None else result_of(bundle)
    try:
        return write_results(job, asked, found, bundle), False
    except OSError as error:
        if error.errno in NAME_TOO_LONG:
            raise
        raise WriteError(f"results cannot be written: {error.strerror or error}") from error


def _note(batch: Batch, number: int, job: Job, work: Future[tuple[Record, bool]], told: bool) -> None:
    try:
        record, kept = work.result()
    except StoppedError:
        return
    except HOPELESS as error:
        if not told:  # else it is but a wait that was cut short
            batch.stopped_by = batch.stopped_by or error
    except (BrainSegError, OSError) as error:
        code, detail = (error.code, error.detail) if isinstance(error, BrainSegError) else ("unreadable", _why(error))
        batch.records[number] = {"file": job.name, "code": code, "detail": detail}
        batch.failed += 1
    else:
        batch.records[number] = record
        batch.kept += kept


def _why(error: OSError) -> str:
    return error.strerror or type(error).__name__  # the path is in the row already


def run_batch(
    client: Client,
    jobs: Sequence[Job],
    asked: Asked,
    parallel: int,
    advance: Callable[[], None],
    told: threading.Event,
) -> Batch:
    """Runs ``jobs``, ``parallel`` at a time; ``advance`` is called after each. It ends after the requests in hand when
    ``told`` is set, and by itself after an error that befalls every scan."""
    batch, hopeless = Batch(), threading.Event()

    def stopped() -> bool:
        return told.is_set() or hopeless.is_set()

    with ThreadPoolExecutor(parallel) as pool:
        waiting = {pool.submit(run_job, client, job, asked, stopped): number for number, job in enumerate(jobs)}
        while waiting:
            finished, _ = wait(waiting, LOOK_SECONDS, FIRST_COMPLETED)
            for work in finished:
                number = waiting.pop(work)
                _note(batch, number, jobs[number], work, told.is_set())
                advance()
            if batch.stopped_by and not hopeless.is_set():
                hopeless.set()
                client.stop_waiting()
    return batch
