"""``brainseg segment``: scans in, masks, overlays and tables out, by way of the front door."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from brainseg_client.api import Client
from brainseg_client.bar import counting
from brainseg_client.batch import Batch, WriteError, run_batch
from brainseg_client.errors import BrainSegError, NotFoundError
from brainseg_client.files import sweep, write_atomic
from brainseg_client.interrupts import INTERRUPTED, hearing
from brainseg_client.jobs import Job, JobError, plan_jobs
from brainseg_client.keys import find_key
from brainseg_client.lock import FolderInUseError, alone_in
from brainseg_client.names import shown
from brainseg_client.records import Asked, Record, all_done
from brainseg_client.tables import SCANS, SLICES, scan_table, slice_table

DONE, SOME_FAILED, USAGE, NO_SERVER, NO_ROOM = 0, 1, 2, 3, 4
NOTICE = "Research use only. Not a medical device."


@dataclass(frozen=True)
class Options:
    """What the command was given; None is left to the server."""

    scans: Sequence[Path]
    out: Path
    url: str
    version: str | None
    threshold: float | None
    min_lesion_pixels: int | None
    parallel: int
    patience: float
    skip: str
    api_key_file: Path | None
    tta: str | None = None
    job: bool = False
    model: str | None = None


def say(text: str) -> None:
    """A line beside the results, on stderr."""
    print(text, file=sys.stderr, flush=True)


def _version(client: Client, wanted: str | None, model: str | None) -> str:
    """The version to ask for throughout, so that a new default in the middle does not mix two models. Raises
    :class:`NotFoundError` where the server has no such model."""
    if wanted:
        return wanted
    found = next((one.version for one in client.models(model) if one.default), None)
    if found is None:
        raise NotFoundError("model_not_found", f"the server has no model {model or 'that segments'}")
    return found


def _rows(out: Path, jobs: Sequence[Job], batch: Batch) -> list[Record]:
    """What the tables hold: this run's records, and of earlier runs all that are done and not this run's to tell. In
    the order of the jobs, then of names."""
    own = {record["file"]: record for record in batch.records.values()}
    every = {**all_done(out), **own}
    order = {job.name: number for number, job in enumerate(jobs)}
    return [every[name] for name in sorted(every, key=lambda name: (order.get(name, len(order)), name))]


def _write_tables(out: Path, rows: Sequence[Record]) -> None:
    try:
        write_atomic(out / SCANS, scan_table(rows))
        write_atomic(out / SLICES, slice_table(rows))
    except OSError as error:
        raise WriteError(f"the tables cannot be written: {error.strerror or error}") from error


def _parts(records: Sequence[Record]) -> list[str]:
    """What there is of each part of the tumour, a line each; none of models that tell none apart."""
    labelled = [record for record in records if record.get("labels")]
    lines: dict[str, list[tuple[int, float | None]]] = {}
    for record in labelled:
        for label in record["labels"]:
            if label["pixels"] is not None:
                lines.setdefault(str(label["name"]), []).append((label["pixels"], label["volume_ml"]))
    return [f"{shown(name)}: {_sizes(found)}" for name, found in lines.items()]


def _sizes(found: Sequence[tuple[int, float | None]]) -> str:
    scans = sum(pixels > 0 for pixels, _ in found)
    volumes = [volume for _, volume in found if volume is not None]
    size = f"{sum(volumes):.2f} ml" if len(volumes) == len(found) else f"{sum(pixels for pixels, _ in found)} pixels"
    return f"{size} in {scans} of {len(found)} scans"


def _tell(out: Path, jobs: Sequence[Job], batch: Batch, rows: Sequence[Record], asked: Asked) -> None:
    records = [batch.records[number] for number in sorted(batch.records)]
    for record in records:
        if "code" in record:
            say(f"{record['file']}: {shown(record['code'])}: {shown(record['detail'])}")
    found, clear = (
        sum(record.get("verdict") == one for record in records) for one in ("tumor_detected", "no_tumor_detected")
    )
    other = len(records) - found - clear - batch.failed
    print(
        f"{len(records)} of {len(jobs)} scans: {found} with tumour, {clear} without, "
        + (f"{other} not assessed, " if other else "")
        + f"{batch.failed} failed ({batch.kept} done before). Tables: {shown(str(out / SCANS))}, {SLICES}. {NOTICE}"
    )
    for line in _parts(records):
        print(line)
    strange = sum("asked" in row and row["asked"] != asked.as_json() for row in rows)
    if strange:
        say(f"{strange} rows of the tables are of earlier runs with other settings; the columns say which")


def _status(batch: Batch, left: int, told: bool) -> int:
    """Says what was left undone, if anything was; the exit status."""
    if batch.stopped_by:
        say(f"stopped: {shown(str(batch.stopped_by))}. Run the same command again to go on.")
        return NO_ROOM if isinstance(batch.stopped_by, WriteError) else NO_SERVER
    if told and left:
        say(f"interrupted, {left} scans left. Run the same command again to go on.")
        return INTERRUPTED
    return SOME_FAILED if batch.failed else DONE


def _run(options: Options, jobs: Sequence[Job], client: Client) -> int:
    out = options.out
    sweep(out)
    version = _version(client, options.version, options.model)
    asked = Asked(version, options.threshold, options.min_lesion_pixels, options.tta, options.model)
    with hearing(client.stop_waiting) as told, counting("segmenting", len(jobs), sys.stderr) as advance:
        batch = run_batch(client, jobs, asked, options.parallel, advance, told)
    rows = _rows(out, jobs, batch)
    try:
        _write_tables(out, rows)
    except WriteError as error:
        batch.stopped_by = batch.stopped_by or error
    _tell(out, jobs, batch, rows, asked)
    return _status(batch, len(jobs) - len(batch.records), told.is_set())


def segment(options: Options) -> int:
    """Runs the command; the exit status. Says on stderr what went wrong, and how it ended on stdout."""
    try:
        jobs = plan_jobs(options.scans, options.out, options.skip)
        client = Client(options.url, find_key(options.api_key_file, say), options.patience, as_jobs=options.job)
    except (JobError, ValueError) as error:
        say(f"brainseg: {error}")
        return USAGE
    except OSError as error:
        return _unusable(error)
    try:
        with alone_in(options.out):
            return _run(options, jobs, client)
    except FolderInUseError as error:
        say(f"brainseg: {error}")
        return USAGE
    except OSError as error:
        return _unusable(error)
    except BrainSegError as error:
        say(f"brainseg: {shown(str(error))}. Is the server running (scripts/serve) and the address right?")
        return NO_SERVER


def _unusable(error: OSError) -> int:
    say(f"brainseg: {shown(str(error.filename or 'a file'))}: {error.strerror or error}")
    return USAGE
