"""``scripts/bulk``: a whole archive of scans into masks and a table, without a server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from archive.programs import environment, python
from archive.store import (
    MODEL_NAME,
    MODEL_STORE,
    archive_path,
    default_version,
    release_folder,
    released_versions,
)
from brainseg_client.names import shown
from bulk.crew import Executor
from bulk.errors import BulkError
from bulk.places import MEMORY, scheme_of
from bulk.pool import Alone, Pool
from bulk.release import Opened, check_segments, find
from bulk.report import REPORT
from bulk.run import Options, Summary, Watching, run
from bulk.studies import VARIABLE
from bulk.worker import Setup
from handler.answer import NOTICE
from handler.engines import ENGINES
from handler.resources import available_cores
from progress.rates import rating

DONE, SOME_REFUSED, USAGE, NO_ROOM, INTERRUPTED = 0, 1, 2, 4, 130
console = Console(stderr=True)


def say(line: str) -> None:
    """A line beside the results."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)


class Told:
    """Ctrl-C and SIGTERM: the first ends the run after the scans in work, the second at once."""

    def __init__(self) -> None:
        self.to_stop = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._hear)

    def _hear(self, _number: int, _frame: FrameType | None) -> None:
        if self.to_stop:
            raise KeyboardInterrupt
        self.to_stop = True

    def __call__(self) -> bool:
        return self.to_stop


def version_of(model: str, store: Path) -> str:
    """The one that answers when none is named: of a model beside the segmentation its newest. Raises
    :class:`BulkError` or ``FileNotFoundError``."""
    if model == MODEL_NAME:
        return default_version(store)
    versions = released_versions(store, model)
    if not versions:
        raise BulkError(f"no release of {model} in {store}: expected a folder such as {model}-0.1 with its model card")
    return versions[-1]


def packaged(version: str, store: Path, model: str = MODEL_NAME) -> Path:
    """The archive of ``version``, made where it is missing or stale. Raises :class:`BulkError`."""
    archive = archive_path(version, store, model)
    if (release_folder(version, store, model) / "model-card.json").exists():
        command = python("-m", "archive", version, "--if-stale", "--model-store", str(store), "--model", model)
        done = subprocess.run(command, env=environment(), stdout=sys.stderr, check=False)
        if done.returncode:
            raise BulkError(f"{model} {version} could not be packaged, see above")
    elif not archive.exists():
        there = ", ".join(released_versions(store, model)) or "none"
        raise BulkError(f"no version {version} of {model} in {store}; released there: {there}")
    return archive


def authorization_in(file: Path | None) -> str:
    """The header's value, out of ``file`` or the environment; empty where neither has one. Raises :class:`BulkError`,
    which never shows it, or ``OSError``."""
    where = str(file) if file else VARIABLE
    text = file.read_bytes().decode("latin-1") if file else os.environ.get(VARIABLE, "")
    lines = text.strip().splitlines()
    if len(lines) > 1 or not all(" " <= one <= "~" for one in text.strip()) or (file and not lines):
        raise BulkError(f"{where} holds no line of printable ASCII such as 'Bearer …' or 'Basic …'")
    return lines[0] if lines else ""


def executor_of(
    workers: int | None, ray: str | None, setup: Setup, opened: Opened, archive: Path, places: tuple[str, str]
) -> Executor:
    """Raises :class:`BulkError` for what no process beside this one could see, and where no cluster answers."""
    if ray is not None:
        from bulk.cluster import Cluster  # an extra

        return Cluster(ray, setup, opened, workers)
    if workers == 0:
        return Alone(setup, opened)
    if MEMORY in map(scheme_of, places):
        raise BulkError("memory:// is of one process alone; give --workers 0 with it")
    return Pool(workers or available_cores(), setup, str(archive))


def told(summary: Summary, out: str) -> int:
    """Says how it ended; the exit status."""
    print(
        f"{summary.done} of {summary.scans} scans done now, {summary.before} before: {summary.refused} refused, "
        f"{summary.lost} of them set apart, {summary.again} to be tried again; {summary.alike} alike another; "
        f"{sum(summary.left_out.values())} names left out. {shown(out)}/{REPORT} has more. {NOTICE}"
    )
    if summary.full:
        say(f"bulk: stopped: {summary.full}. Make room and run the same command again to go on.")
        return NO_ROOM
    if summary.left:
        say(f"bulk: interrupted, {summary.left} scans left. Run the same command again to go on.")
        return INTERRUPTED
    return SOME_REFUSED if summary.refused else DONE


def main(
    source: Annotated[
        str,
        typer.Argument(
            help="Folder, file, manifest (.csv, .parquet: column path, or flair, t1, t1c), address, or dicomweb+https://…?query."
        ),
    ],
    out: Annotated[str, typer.Option(help="Folder or address for the results.")],
    version: Annotated[str | None, typer.Option(help="Model version; else the default one.")] = None,
    model: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="A model beside the segmentation, such as brainseg-regions (parts of a tumour)."
        ),
    ] = MODEL_NAME,
    model_store: Annotated[Path, typer.Option(help="Holds releases and archives.")] = MODEL_STORE,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes, by default one a core; 0: this process alone.")
    ] = None,
    ray: Annotated[
        str | None, typer.Option(help="A Ray cluster's address, host:port or auto: workers there instead of here.")
    ] = None,
    engine: Annotated[str, typer.Option(help=f"auto, {', '.join(ENGINES)}")] = "auto",
    skip: Annotated[str, typer.Option(help="File names to leave out: by default truth masks.")] = "*_mask.*",
    scan_seconds: Annotated[float, typer.Option(min=1, help="A scan that takes longer is set apart.")] = 600.0,
    authorization_file: Annotated[
        Path | None,
        typer.Option(help=f"Holds what an archive wants as Authorization, in one line; else {VARIABLE}."),
    ] = None,
    gallery: Annotated[int, typer.Option(min=0, max=60, help="Pictures of the largest tumours in the report.")] = 0,
) -> None:
    """Segment all of SOURCE; run it again to go on, or when more has come. Research use only. Not a medical device.

    Exit status: 0 all done, 1 some were refused, 2 wrong use, 4 results cannot be written, 130 interrupted."""
    stop = Told()
    try:
        check_segments(model)
        chosen = version or version_of(model, model_store)
        archive = packaged(chosen, model_store, model)
        opened = find(archive, chosen, model)
        authorization = authorization_in(authorization_file)
        setup = Setup(opened.sha256, chosen, opened.model_digest, out, engine, authorization, model)
        executor = executor_of(workers, ray, setup, opened, archive, (source, out))
        watching = Watching(lambda total: rating("bulk", total, "scans", console), say, stop)
        summary = run(Options(source, out, skip, scan_seconds, gallery, authorization), opened, executor, watching)
    except (BulkError, OSError) as error:
        say(f"bulk: {shown(str(error))}")
        raise typer.Exit(USAGE) from error
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    raise typer.Exit(told(summary, out))


if __name__ == "__main__":
    typer.run(main)
