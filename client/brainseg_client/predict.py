"""``scripts/predict``: scans in, masks, overlays and tables out, by way of the front door."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from brainseg_client.api import DEFAULT_URL, Client
from brainseg_client.batch import Batch, run_batch
from brainseg_client.errors import BrainSegError
from brainseg_client.files import write_atomic
from brainseg_client.jobs import JobError, plan_jobs
from brainseg_client.outcome import Asked, scan_table, slice_table
from progress.bars import counting

console = Console(stderr=True, soft_wrap=True, highlight=False)
DONE, SOME_FAILED, USAGE, NO_SERVER, INTERRUPTED = 0, 1, 2, 3, 130
NOTICE = "Research use only. Not a medical device."


def _api_key(file: Path | None) -> str | None:
    """From ``file``, else from BRAINSEG_API_KEY; never from the command line, which other users can see."""
    text = file.read_text(encoding="utf-8") if file else os.environ.get("BRAINSEG_API_KEY", "")
    words = text.split()
    return words[-1] if words else None


def _version(client: Client, wanted: str | None) -> str:
    """The version to ask for throughout, so that a new default in the middle does not mix two models."""
    return wanted or next(one.version for one in client.models() if one.default)


def _write_tables(out: Path, batch: Batch) -> None:
    records = batch.in_order()
    write_atomic(out / "measurements.csv", scan_table(records))
    write_atomic(out / "slices.csv", slice_table(records))


def _report(batch: Batch, total: int, out: Path) -> int:
    """Says how it went; the exit status."""
    records = batch.in_order()
    found = sum(record.get("verdict") == "tumor_detected" for record in records)
    clear = sum(record.get("verdict") == "no_tumor_detected" for record in records)
    for record in records:
        if "code" in record:
            console.print(f"[yellow]{record['file']}[/]: {record['code']}: {record['detail']}", markup=True)
    left = total - len(records)
    print(
        f"{len(records)} of {total} scans: {found} with tumour, {clear} without, {batch.failed} failed"
        f" ({batch.kept} done before). Tables: {out / 'measurements.csv'}, slices.csv. {NOTICE}"
    )
    if batch.stopped_by:
        console.print(f"[red]stopped:[/] {batch.stopped_by}. Run the same command again to go on.")
        return NO_SERVER
    if batch.interrupted and left:
        console.print(f"interrupted, {left} scans left. Run the same command again to go on.")
        return INTERRUPTED
    return SOME_FAILED if batch.failed else DONE


def main(
    scans: Annotated[list[Path], typer.Argument(help="Files, or folders that are searched below.")],
    out: Annotated[Path, typer.Option(help="Folder for the results; made when missing.")],
    url: Annotated[str, typer.Option(help="The front door.", envvar="BRAINSEG_URL")] = DEFAULT_URL,
    version: Annotated[str | None, typer.Option(help="Model version; else the server's default.")] = None,
    threshold: Annotated[float | None, typer.Option(help="0 < t < 1; else the model's.")] = None,
    min_lesion_pixels: Annotated[int | None, typer.Option(min=0, help="Smallest lesion; else the model's.")] = None,
    parallel: Annotated[int, typer.Option(min=1, max=16, help="Requests at a time.")] = 4,
    patience: Annotated[float, typer.Option(min=0, help="Seconds to wait for a busy server, a scan.")] = 300,
    skip: Annotated[
        str, typer.Option(help="In folders, leave out files of this name: by default, truth masks.")
    ] = "*_mask.*",
    api_key_file: Annotated[Path | None, typer.Option(exists=True, help="Else BRAINSEG_API_KEY.")] = None,
) -> None:
    """Segment SCANS and write masks, overlays and tables into OUT. Run it again to go on where it stopped.

    Exit status: 0 all done, 1 some scans were refused, 2 wrong use, 3 no server or no access, 130 interrupted."""
    try:
        jobs = plan_jobs(scans, out, skip)
        client = Client(url, _api_key(api_key_file), patience)
        asked = Asked(_version(client, version), threshold, min_lesion_pixels)
    except (JobError, OSError) as error:
        console.print(f"[red]predict:[/] {error}")
        sys.exit(USAGE)
    except BrainSegError as error:
        console.print(f"[red]predict:[/] {error}. Is the server running (scripts/serve) and the address right?")
        sys.exit(NO_SERVER)
    with counting("segmenting", len(jobs), console) as advance:
        batch = run_batch(client, jobs, asked, parallel, advance)
    _write_tables(out, batch)
    sys.exit(_report(batch, len(jobs), out))


if __name__ == "__main__":
    typer.run(main)
