"""What a run knows, on disk: the listing, what earlier runs did and what is left. However many scans there are, the
driver's memory holds none of them; the file goes with the run, for all of it can be had again from the results."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from bulk.names import address_of, text_of
from bulk.row import Row
from bulk.task import Part, Task, digest_of

_TABLES = """
create table file (address text, size integer, stamp text, study text, sequence text,
    place integer primary key autoincrement);
create unique index file_address on file (address);
create table scan (key integer primary key, first integer, files integer);
create table member (scan integer, place integer);
create index member_scan on member (scan);
create table left_out (address text, reason text);
create table input (address text primary key, stamp text, sha256 text, study text) without rowid;
create table fresh (address text primary key, stamp text, size integer, sha256 text, study text) without rowid;
create table done (sha256 text primary key) without rowid;
create table unfinished (path text primary key, row text) without rowid;
"""
MEMORY_KIB = 4096


@dataclass(frozen=True)
class LeftOut:
    """What was listed but is no scan for this run."""

    address: str
    reason: str


class Book:
    """One a run, in ``folder``; used by one thread."""

    def __init__(self, folder: Path) -> None:
        self._base = sqlite3.connect(folder / "book.sqlite", isolation_level=None)
        self._base.executescript(
            f"pragma journal_mode=off; pragma synchronous=off; pragma cache_size=-{MEMORY_KIB}; pragma temp_store=file;"
        )
        self._base.executescript(_TABLES)
        self._base.execute("begin")
        self.unfinished_changed = False  # since it was written last, by who writes it

    def close(self) -> None:
        self._base.close()

    def _count(self, question: str) -> int:
        return int(self._base.execute(question).fetchone()[0])

    # -- the listing

    def listed(self, part: Part, study: str = "") -> bool:
        """``study``: what keeps the files of one study together, empty for a file that is a scan by itself. The same
        address twice is left out the second time; whether it was not."""
        made = self._base.execute(
            "insert or ignore into file (address, size, stamp, study, sequence) values (?, ?, ?, ?, ?)",
            (text_of(part.address), part.size, part.stamp, study, part.sequence),
        )
        if not made.rowcount:
            self.leave_out(LeftOut(part.address, "listed twice"))
        return bool(made.rowcount)

    def leave_out(self, one: LeftOut) -> None:
        self._base.execute("insert into left_out values (?, ?)", (text_of(one.address), one.reason))

    def grouped(self) -> int:
        """Makes scans of the files that were listed, in the order of their first files; how many."""
        self._base.execute(
            "insert into scan (first, files) select min(place), count(*) from file "
            "group by case study when '' then 'f' || place else 's' || study end order by min(place)"
        )
        self._base.execute(
            "insert into member select s.key, f.place from scan s join file first on first.place = s.first "
            "join file f on f.place = s.first where first.study = ''"
        )
        self._base.execute("create index file_study on file (study)")
        self._base.execute(
            "insert into member select s.key, f.place from scan s join file first on first.place = s.first "
            "join file f on f.study = first.study where first.study <> ''"
        )
        return self._count("select count(*) from scan")

    def left_out(self) -> Iterator[LeftOut]:
        for address, reason in self._base.execute("select address, reason from left_out"):
            yield LeftOut(address, reason)

    def left_out_counts(self) -> dict[str, int]:
        """Reason -> how many, the most frequent first."""
        return dict(
            self._base.execute("select reason, count(*) n from left_out group by reason order by n desc, reason")
        )

    # -- what earlier runs knew

    def remember(self, address: str, stamp: str, sha256: str, study: str) -> None:
        self._base.execute("insert or replace into input values (?, ?, ?, ?)", (address, stamp, sha256, study))

    def was_done(self, sha256: str) -> None:
        self._base.execute("insert or ignore into done values (?)", (sha256,))

    def known_study(self, part: Part) -> str | None:
        """Which study the file was of when it was read last; None where it has changed since, or was never read."""
        found = self._base.execute(
            "select study from input where address = ? and stamp = ? and stamp <> ''",
            (text_of(part.address), part.stamp),
        ).fetchone()
        return str(found[0]) if found and found[0] else None

    # -- the work

    def waiting(self) -> int:
        """Strikes out the scans that are done, as far as that can be told without reading them; how many are left."""
        known = (
            (key, digest_of(digests, sequences)) for key, digests, sequences in self._digests() if None not in digests
        )
        self._base.executemany("delete from scan where key = ?", ((key,) for key, one in known if self.is_done(one)))
        return self._count("select count(*) from scan")

    def _digests(self) -> Iterator[tuple[int, tuple[str, ...], tuple[str, ...]]]:
        """Of each scan its parts' digests, None for one that has to be read, and what sequences they are."""
        rows = self._base.execute(
            "select m.scan, i.sha256, f.sequence from member m join file f on f.place = m.place "
            "left join input i on i.address = f.address and i.stamp = f.stamp and f.stamp <> '' order by m.scan"
        )
        for key, group in groupby(rows, lambda row: int(row[0])):
            _, digests, sequences = zip(*group, strict=True)
            yield key, digests, sequences

    def tasks(self) -> Iterator[Task]:
        """The scans that :meth:`waiting` has left, in the order of the listing."""
        last = 0
        while found := self._base.execute(
            "select key from scan where key > ? order by key limit 1", (last,)
        ).fetchone():
            last = int(found[0])
            yield Task(last, self._parts(last))

    def _parts(self, key: int) -> tuple[Part, ...]:
        rows = self._base.execute(
            "select f.address, f.size, f.stamp, f.sequence from member m join file f on f.place = m.place "
            "where m.scan = ? order by f.sequence, f.address",
            (key,),
        )
        return tuple(Part(address_of(row[0]), *row[1:]) for row in rows)

    def parts_of(self, path: str) -> tuple[Part, ...]:
        """Of the scan whose first file lies at ``path``, as its row has it; none where it was not listed."""
        found = self._base.execute(
            "select m.scan from member m join file f on f.place = m.place where f.address = ?", (path,)
        ).fetchone()
        return self._parts(int(found[0])) if found else ()

    def is_done(self, sha256: str) -> bool:
        return self._base.execute("select 1 from done where sha256 = ?", (sha256,)).fetchone() is not None

    def read(self, parts: Sequence[Part], digests: Sequence[str]) -> None:
        """The parts were read and had these digests. What is one case now need not be one for the next run."""
        for part, sha256 in zip(parts, digests, strict=True):
            self._base.execute(
                "insert or replace into fresh select address, stamp, size, ?, "
                "case sequence when '' then study else '' end from file where address = ?",
                (sha256, text_of(part.address)),
            )

    def fresh(self) -> list[dict[str, object]]:
        """What :meth:`read` told since the last call, as the inputs' table has it."""
        found = self._base.execute("select address, stamp, size, sha256, study from fresh").fetchall()
        self._base.execute("delete from fresh")
        return [dict(zip(("path", "stamp", "bytes", "sha256", "study"), row, strict=True)) for row in found]

    def finish(self, row: Row) -> bool:
        """Whether ``row``, which has a digest, is the first of it: another one is not to be written."""
        if self._base.execute("delete from unfinished where path = ?", (row.path,)).rowcount:
            self.unfinished_changed = True
        return bool(self._base.execute("insert or ignore into done values (?)", (row.input_sha256,)).rowcount)

    def put_off(self, row: dict[str, object]) -> None:
        """``row`` is of a scan that the next run tries again."""
        self._base.execute("insert or replace into unfinished values (?, ?)", (row["path"], json.dumps(row)))
        self.unfinished_changed = True

    def unfinished(self) -> Iterable[dict[str, object]]:
        for (row,) in self._base.execute("select row from unfinished order by path"):
            yield json.loads(row)


def study_of(uid: str) -> str:
    """What stands for a Study Instance UID, which names a patient's visit, in what is kept."""
    return hashlib.sha256(uid.encode()).hexdigest()[:32]
