"""A whole run: list, compare with what is done, work, write, report."""

from __future__ import annotations

import hashlib
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from archive.workspace import own_folder
from brainseg_client.lock import FolderInUseError, alone_in
from brainseg_client.volumes import LARGEST_SERIES
from bulk.book import Book
from bulk.crew import Crew, Executor
from bulk.errors import BulkError, NoRoomError
from bulk.gallery import gallery
from bulk.listing import Wanted
from bulk.names import text_of
from bulk.places import Destination, local, without_secret
from bulk.reading import Refused, read_scan
from bulk.release import PREFIX, Opened
from bulk.report import Shown, write_left_out, write_report
from bulk.results import MASKS, Scan, failed
from bulk.row import NOT_WRITTEN, Row
from bulk.source import list_source
from bulk.table import Tables
from bulk.task import Done, Lost, Outcome, Part, Task, digest_of, sequences_of

Showing = Callable[[int], AbstractContextManager[Callable[[int, int], None]]]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """``source``, ``out``: paths or addresses. ``skip``: a pattern of file names; ``scan_seconds``: for one scan;
    ``gallery``: how many pictures the report gets; ``authorization``: for an archive of studies."""

    source: str
    out: str
    skip: str = ""
    scan_seconds: float = 600.0
    gallery: int = 0
    authorization: str = field(default="", repr=False)


@dataclass(frozen=True)
class Watching:
    """``showing``: of a total, the display whose function takes how many are done and how many refused; ``stopped``:
    whether to end after what is in work."""

    showing: Showing
    say: Say
    stopped: Callable[[], bool] = lambda: False


@dataclass
class Summary:
    """Of one run. ``before``: scans that were done already; ``alike``: of the same bytes as another; ``refused``: with
    a code; ``lost``: of these, set apart; ``again``: of these, tried anew by the next run; ``full``: why no more
    results could be written, empty if they could."""

    scans: int = 0
    before: int = 0
    done: int = 0
    alike: int = 0
    refused: int = 0
    lost: int = 0
    again: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    full: str = ""

    @property
    def left(self) -> int:
        """Scans that the next run has to begin."""
        return self.scans - self.before - self.done - self.alike


def _digest(task: Task, authorization: str) -> str:
    """Of a scan that nobody lived to tell; empty where it cannot be read."""
    try:
        if local(task.parts[0].address) is None:
            read = read_scan(task.parts, LARGEST_SERIES, authorization)
            return digest_of([hashlib.sha256(one).hexdigest() for one in read], sequences_of(task.parts))
        return digest_of([_of_file(part) for part in task.parts], sequences_of(task.parts))
    except (OSError, Refused):
        return ""


def _of_file(part: Part) -> str:
    with Path(part.address).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _set_apart(lost: Lost, opened: Opened, authorization: str) -> Row:
    task = lost.task
    size = sum(part.size for part in task.parts)
    path = text_of(task.parts[0].address)
    sha256 = _digest(task, authorization)
    scan = Scan(sha256, path, len(task.parts), size, opened.version, opened.model_digest, opened.model)
    return failed(scan, lost.code, f"It ended two workers, one after the other: {lost.detail}.", 0.0)


@contextmanager
def _alone(destination: Destination) -> Iterator[None]:
    """Where the results are a folder, no other run writes there. An object store has no such lock."""
    if destination.path is None:
        yield
        return
    try:
        with alone_in(destination.path):
            yield
    except FolderInUseError as error:
        raise BulkError(str(error)) from error


@dataclass(frozen=True)
class _Run:
    """What a run has at hand."""

    options: Options
    opened: Opened
    book: Book
    tables: Tables
    summary: Summary
    watching: Watching

    def work(self, executor: Executor, waiting: int) -> None:
        """All that waits; a part of the table now and then, and the last one at the end, whatever ends it."""
        in_work: dict[int, Task] = {}

        def tasks() -> Iterator[Task]:
            for task in self.book.tasks():
                in_work[task.key] = task
                yield task

        executor.hands = min(executor.hands, waiting)
        crew = Crew(executor, self.options.scan_seconds, self.watching.say)
        try:
            with self.watching.showing(waiting) as show:
                for outcome in crew.run(tasks(), self.watching.stopped):
                    key = outcome.key if isinstance(outcome, Done) else outcome.task.key
                    self._take(outcome, in_work.pop(key))
                    show(self.summary.done + self.summary.alike, self.summary.refused)
            self.tables.flush()
        except NoRoomError as error:
            self.summary.full = str(error)
            return
        except BulkError:
            self.tables.flush()
            raise

    def _take(self, outcome: Outcome, task: Task) -> None:
        summary = self.summary
        if isinstance(outcome, Lost):
            row = _set_apart(outcome, self.opened, self.options.authorization)
            self.watching.say(f"set apart after two tries: {row.input_sha256} ({outcome.code}: {outcome.detail})")
            summary.lost += 1
        else:
            row = outcome.row
            if outcome.digests:
                self.book.read(task.parts, outcome.digests)
        if row.error_code == NOT_WRITTEN:
            raise NoRoomError(row.error_detail or NOT_WRITTEN)
        if not self.tables.add(row):
            summary.alike += 1
            return
        summary.done += 1
        summary.again += row.again
        summary.refused += row.error_code is not None


def _pictures(destination: Destination, tables: Tables, book: Book, opened: Opened, options: Options) -> list[Shown]:
    if not options.gallery:
        return []
    return gallery(destination, tables, book, opened, options.gallery, options.authorization)


def run(options: Options, opened: Opened, executor: Executor, watching: Watching) -> Summary:
    """Raises :class:`BulkError` where it cannot begin or go on; what was done until then is written."""
    for what, address in (("SOURCE", options.source), ("--out", options.out)):
        if not address.strip():  # a shell's variable that is not set: the folder where one stands, or the root
            raise BulkError(f"{what} is empty: expected a folder or an address")
        without_secret(address)
    destination, summary = Destination(options.out), Summary()
    out = destination.path.resolve() if destination.path else None
    wanted = Wanted(out, options.skip, "" if out else destination.address)
    try:
        with ExitStack() as stack:
            stack.callback(executor.close)
            stack.enter_context(_alone(destination))
            folder = stack.enter_context(own_folder(PREFIX))
            book = Book(folder)
            stack.callback(book.close)
            tables = Tables(destination, opened.key, book, opened.model_digest)
            summary.scans = list_source(book, options.source, wanted, options.authorization)
            waiting = book.waiting()
            summary.before = summary.scans - waiting
            summary.left_out = book.left_out_counts()
            left_out = sum(summary.left_out.values())
            watching.say(f"{summary.scans} scans, {summary.before} done before; {left_out} names left out")
            if waiting:
                _Run(options, opened, book, tables, summary, watching).work(executor, waiting)
                executor.close()
                destination.sweep(f"{MASKS}/{opened.key}")
            if not summary.full:
                write_left_out(destination, book.left_out())
                pictures = _pictures(destination, tables, book, opened, options)
                write_report(destination, tables, opened, summary.left_out, pictures)
    except OSError as error:
        raise BulkError(f"{error.filename or options.out}: {error.strerror or error}") from error
    except sqlite3.Error as error:
        raise BulkError(
            f"{tempfile.gettempdir()}: {error}; make room there, or set TMPDIR to another folder"
        ) from error
    return summary
