"""The folder of the jobs: bodies until they are done, results until they are delivered or their time is over.

Files are named as the jobs, readable by this user alone, written under another name and renamed. One process at a time
has the folder."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Container
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from web.contract.fields import Answer

BODIES, RESULTS, FETCHED = "bodies", "results", "fetched"
TEMPORARY = ".new-"  # no job's name begins so
LOCK, DATABASE, SECRET = "lock", "jobs.sqlite", "webhook-secret"
GRACE_SECONDS = 300.0  # a result that was fetched is there for so long still: the connection may have broken
LONGEST_SECONDS = 86400.0  # a result that nobody fetches, and what is known of a job after its end


class InUseError(OSError):
    """Another process has the folder."""


@dataclass(frozen=True)
class Held:
    """Of the bodies that are not done: how many, their bytes, and the same of one owner's."""

    count: int
    size: int
    own_count: int
    own_size: int


class Store:
    """``keep_seconds``: as of :class:`web.settings.JobBounds`. Raises ``OSError`` where the folder cannot be used,
    :class:`InUseError` where another process has it. Safe to use from several threads."""

    def __init__(self, folder: Path, keep_seconds: float) -> None:
        self.folder = folder
        self._keep = keep_seconds
        for one in (folder, *(folder / name for name in (BODIES, RESULTS, FETCHED))):
            one.mkdir(mode=0o700, parents=True, exist_ok=True)
            one.chmod(0o700)
        self._lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise InUseError(
                f"another front door uses the folder of jobs {folder}: give each one of its own"
            ) from error

    def close(self) -> None:
        os.close(self._lock)

    def put_body(self, name: str, scan: bytes | memoryview) -> None:
        self._write(self.folder / BODIES / name, scan)

    def body(self, name: str) -> bytes | None:
        return self._read(self.folder / BODIES / name)

    def drop_body(self, name: str) -> None:
        (self.folder / BODIES / name).unlink(missing_ok=True)

    def put_answer(self, name: str, answer: Answer) -> None:
        head = json.dumps({"status": answer.status, "headers": dict(answer.headers)}).encode()
        self._write(self.folder / RESULTS / name, head + b"\n" + answer.body)

    def answer(self, name: str) -> Answer | None:
        """The result, None where there is none, or none any more."""
        data = self._read(self.folder / RESULTS / name)
        if data is None:
            return None
        head, _, body = data.partition(b"\n")
        told = json.loads(head)
        return Answer(told["status"], told["headers"], body)

    def has_answer(self, name: str) -> bool:
        return (self.folder / RESULTS / name).exists()

    def fetched(self, name: str) -> None:
        """The result was given to its client."""
        if self.has_answer(name):
            (self.folder / FETCHED / name).touch(mode=0o600)

    def drop(self, name: str) -> None:
        """All that is kept of the job."""
        for kind in (BODIES, RESULTS, FETCHED):
            (self.folder / kind / name).unlink(missing_ok=True)

    def held(self, prefix: str) -> Held:
        """``prefix``: how the names of the owner's jobs begin."""
        sizes = [(name.startswith(prefix), size) for name, size, _ in self._files(BODIES)]
        own = [size for mine, size in sizes if mine]
        return Held(len(sizes), sum(size for _, size in sizes), len(own), sum(own))

    def ahead(self, name: str) -> int:
        """How many bodies came before that of ``name`` and are not done."""
        times = {one: time for one, _, time in self._files(BODIES)}
        mine = times.get(name)
        return 0 if mine is None else sum(time < mine for time in times.values())

    def oldest_seconds(self) -> float:
        """How long the oldest body has been here; 0 without any."""
        return max((time.time() - came for _, _, came in self._files(BODIES)), default=0.0)

    def sweep(self, now: float) -> None:
        """Removes results whose time is over; ``now``: seconds since 1970."""
        fetched = {name: at for name, _, at in self._files(FETCHED)}
        for name, _, ended in self._files(RESULTS):
            over = ended + (self._keep or LONGEST_SECONDS)
            if not self._keep and name in fetched:
                over = min(over, fetched[name] + GRACE_SECONDS)
            if now >= over:
                self.drop(name)

    def clear(self, jobs: Container[str], waiting: Container[str]) -> None:
        """At the start: removes what a kill left behind, of no job (``jobs``: those there are) or of one that is done
        (``waiting``: those that are not)."""
        for kind, known in ((BODIES, waiting), (RESULTS, jobs), (FETCHED, jobs)):
            for name, _, _ in self._files(kind, temporary=True):
                if name not in known:
                    (self.folder / kind / name).unlink(missing_ok=True)

    def _files(self, kind: str, temporary: bool = False) -> list[tuple[str, int, float]]:
        """Name, bytes, time of the last change."""
        found = []
        with os.scandir(self.folder / kind) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    if temporary or not entry.name.startswith(TEMPORARY):
                        status = entry.stat()
                        found.append((entry.name, status.st_size, status.st_mtime_ns / 1e9))
        return found

    def _read(self, path: Path) -> bytes | None:
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None

    def _write(self, path: Path, data: bytes | memoryview) -> None:
        temporary = path.with_name(f"{TEMPORARY}{uuid4().hex}")
        try:
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
