"""What the node has to do, on disk: every step is committed before the next begins, so that a kill loses nothing.

A study goes ``receiving`` -> ``complete`` -> ``segmented`` -> ``sent``, or ends ``failed``. Studies are known by a
digest of their UID: the database holds nothing that names a patient; the files beside it do, until they are sent.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

RECEIVING, COMPLETE, SEGMENTED, SENT, FAILED = "receiving", "complete", "segmented", "sent", "failed"
WAITING, SENDING = "waiting", "sending"
DATABASE = "queue.sqlite"

_TABLES = """
CREATE TABLE IF NOT EXISTS studies (
    study TEXT PRIMARY KEY, state TEXT NOT NULL, touched REAL NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
    next_try REAL NOT NULL DEFAULT 0, note TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS results (
    study TEXT NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL, PRIMARY KEY (study, name));
"""


def digest(text: str) -> str:
    """What a UID is called on disk and in the log."""
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def reason(error: OSError | sqlite3.Error) -> str:
    """Why the spool cannot be used, without a path."""
    return (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__


@dataclass(frozen=True)
class Study:
    """``study``: the digest of its UID; ``note``: why it failed, or what the last try met."""

    study: str
    state: str
    attempts: int
    note: str


@dataclass(frozen=True)
class Result:
    """An object to be sent on. ``interrupted``: a sending of it was begun and its end never recorded."""

    study: str
    name: str
    path: Path
    interrupted: bool


def write_durable(path: Path, data: bytes) -> None:
    """Whole or not at all, and on the disk when this returns."""
    temporary = path.with_name(f".{path.name}.part")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the name too
    finally:
        os.close(folder)


class Spool:
    """One process at a time. Safe to use from several threads. ``clock`` gives seconds since 1970."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        self._folder, self._clock, self._lock = folder, clock, threading.RLock()
        self._database = sqlite3.connect(folder / DATABASE, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.executescript(_TABLES)

    def close(self) -> None:
        with self._lock:
            self._database.close()

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:  # a COMMIT that fails leaves it open, and no other could begin
                    self._database.execute("ROLLBACK")
                raise

    def _ask(self, question: str, *values: object) -> list[tuple[object, ...]]:
        with self._lock:
            return self._database.execute(question, values).fetchall()

    def incoming(self, study: str) -> Path:
        """The folder of the objects that came in."""
        return self._folder / "incoming" / study

    def outgoing(self, study: str) -> Path:
        """The folder of the objects to be sent on."""
        return self._folder / "outgoing" / study

    def keep(self, study_uid: str, instance_uid: str, data: bytes) -> bool:
        """Keeps an object of a study, a DICOM file; whether it was new. When this returns it survives a kill. An object
        that comes again as it was changes nothing; a new one opens its study again. Raises ``OSError``."""
        study = digest(study_uid)
        path = self.incoming(study) / f"{digest(instance_uid)}.dcm"
        with self._lock:
            state = self._state(study)
            known = path.is_file() and path.read_bytes() == data
            if state == SENT and self._is_done(study, instance_uid, data):
                return False
            if not known:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_durable(path, data)
            if known and state not in (None, RECEIVING):
                return False
            with self._change() as database:
                database.execute(
                    "INSERT INTO studies (study, state, touched) VALUES (?, ?, ?) ON CONFLICT (study) DO UPDATE SET "
                    "state = excluded.state, touched = excluded.touched, attempts = 0, next_try = 0, note = ''",
                    (study, RECEIVING, self._clock()),
                )
                database.execute("DELETE FROM results WHERE study = ?", (study,))
        return not known

    def _state(self, study: str) -> str | None:
        found = self._ask("SELECT state FROM studies WHERE study = ?", study)
        return str(found[0][0]) if found else None

    def _done_file(self, study: str) -> Path:
        return self._folder / "done" / study

    def _is_done(self, study: str, instance_uid: str, data: bytes) -> bool:
        try:
            lines = self._done_file(study).read_text(encoding="ascii").splitlines()
        except OSError:
            return False
        return f"{digest(instance_uid)} {hashlib.sha256(data).hexdigest()}" in lines

    def complete_settled(self, settle_seconds: float) -> list[str]:
        """Declares complete what has got nothing new for ``settle_seconds``; which those are."""
        with self._change() as database:
            limit = self._clock() - settle_seconds
            found = database.execute("SELECT study FROM studies WHERE state = ? AND touched <= ?", (RECEIVING, limit))
            settled = [str(study) for (study,) in found.fetchall()]
            for study in settled:
                database.execute("UPDATE studies SET state = ? WHERE study = ?", (COMPLETE, study))
        return settled

    def due(self, state: str) -> list[Study]:
        """Studies in ``state`` whose next try is due, the longest waiting first."""
        rows = self._ask(
            "SELECT study, state, attempts, note FROM studies WHERE state = ? AND next_try <= ? ORDER BY touched",
            state,
            self._clock(),
        )
        return [Study(str(study), str(s), int(str(attempts)), str(note)) for study, s, attempts, note in rows]

    def all(self) -> list[Study]:
        """Every study that is known, in the order of the last object."""
        rows = self._ask("SELECT study, state, attempts, note FROM studies ORDER BY touched")
        return [Study(str(study), str(s), int(str(attempts)), str(note)) for study, s, attempts, note in rows]

    def segmented(self, study: str, objects: Mapping[str, bytes]) -> None:
        """Keeps what is to be sent on (name -> DICOM file) and goes on to sending; nothing to send is sent."""
        folder = self.outgoing(study)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, data in objects.items():
            write_durable(folder / name, data)
        with self._change() as database:
            if database.execute("SELECT state FROM studies WHERE study = ?", (study,)).fetchone() != (COMPLETE,):
                return  # a new object came meanwhile: the study will be segmented again with it
            database.execute("DELETE FROM results WHERE study = ?", (study,))
            database.executemany("INSERT INTO results VALUES (?, ?, ?)", [(study, n, WAITING) for n in objects])
            database.execute(
                "UPDATE studies SET state = ?, attempts = 0, next_try = 0 WHERE study = ?", (SEGMENTED, study)
            )

    def unsent(self, study: str) -> list[Result]:
        """What of a study is still to be sent, in the order of names."""
        rows = self._ask("SELECT name, state FROM results WHERE study = ? AND state != ? ORDER BY name", study, SENT)
        return [Result(study, str(name), self.outgoing(study) / str(name), state == SENDING) for name, state in rows]

    def sending(self, result: Result) -> None:
        """Recorded before the first byte leaves."""
        self._mark(result, SENDING)

    def sent(self, result: Result) -> None:
        """Recorded once the other side has said that it has it."""
        self._mark(result, SENT)

    def _mark(self, result: Result, state: str) -> None:
        with self._change() as database:
            database.execute(
                "UPDATE results SET state = ? WHERE study = ? AND name = ?", (state, result.study, result.name)
            )

    def try_later(self, study: str, note: str, pause_seconds: float) -> None:
        """The step failed for a reason that may pass."""
        with self._change() as database:
            database.execute(
                "UPDATE studies SET attempts = attempts + 1, next_try = ?, note = ? WHERE study = ?",
                (self._clock() + pause_seconds, note, study),
            )

    def end(self, study: str, state: str, note: str = "") -> None:
        """``sent`` or ``failed``: writes down what was in the study, so that the same objects sent again are not
        segmented again, and lets go of its files."""
        with self._lock, self._change() as database:
            if self._state(study) == RECEIVING:
                return  # a new object came meanwhile
            files = sorted(self.incoming(study).glob("*.dcm"))
            lines = [f"{path.stem} {hashlib.sha256(path.read_bytes()).hexdigest()}\n" for path in files]
            done = self._done_file(study)
            done.parent.mkdir(mode=0o700, exist_ok=True)
            if lines:
                write_durable(done, "".join(lines).encode())
            database.execute("UPDATE studies SET state = ?, note = ? WHERE study = ?", (state, note, study))
        self.sweep()

    def sweep(self) -> None:
        """Removes the files of studies that have ended."""
        for study in self.all():
            with self._lock:  # else an object that opens one again just now would go, though it was taken
                if self._state(study.study) in (SENT, FAILED):
                    shutil.rmtree(self.outgoing(study.study), ignore_errors=True)
                    shutil.rmtree(self.incoming(study.study), ignore_errors=True)
