"""The table in parts: what came is on disk every few seconds, and a part that was written is never touched again."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from typing import Any

from bulk.book import Book
from bulk.errors import BulkError, NoRoomError
from bulk.places import Destination, run_name
from bulk.row import LATER, NAMES, Row, table

TABLE, INPUTS, UNFINISHED = "table", "inputs", "unfinished.parquet"
# Parts sort behind those of builds whose tables had fewer columns: pandas and DuckDB take the first file's columns for
# all, and where one of those is missing in a later file DuckDB ends.
BEHIND = "m"
PART_ROWS = 512
PART_SECONDS = 15.0
READ_ROWS = 4096


def rows_of(destination: Destination, names: list[str], columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """The rows of Parquet files, some at a time; None for a column that was not known yet when a file was written.
    Raises :class:`BulkError` for a file that is none of a run's."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for name in names:
        try:
            with pq.ParquetFile(io.BytesIO(destination.read(name))) as file:
                missing = set(columns or ()) - set(file.schema_arrow.names)
                if strange := missing - LATER:
                    raise pa.ArrowInvalid(f"it has no {', '.join(sorted(strange))}")
                there = None if columns is None else [one for one in columns if one not in missing]
                unknown = dict.fromkeys(missing)
                for batch in file.iter_batches(READ_ROWS, columns=there):
                    yield from ({**row, **unknown} for row in batch.to_pylist())
        except pa.ArrowException as error:
            raise BulkError(
                f"{name} in the results is no table of a run ({str(error)[:150]}): move it away and run again"
            ) from error


def inputs_table(rows: list[dict[str, object]]) -> Any:
    """Which file had which digest when it was last read."""
    import pyarrow as pa

    kinds = {
        "path": pa.string(),
        "stamp": pa.string(),
        "bytes": pa.int64(),
        "sha256": pa.string(),
        "study": pa.string(),
    }
    return pa.Table.from_pylist(rows, schema=pa.schema(list(kinds.items())))


class Tables:
    """Of one ``key`` (:func:`bulk.names.key_of`), in ``destination``; what it holds of earlier runs is told to ``book``
    at once."""

    def __init__(
        self,
        destination: Destination,
        key: str,
        book: Book,
        model_digest: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._destination, self._book, self._clock = destination, book, clock
        self._model_digest = model_digest
        self.folder = f"{TABLE}/{key}"
        self._run, self._number = f"{BEHIND}{run_name()}", 0
        self._rows: list[dict[str, Any]] = []
        self._read = 0
        self._written = clock()
        self._recall()

    def _recall(self) -> None:
        for one in rows_of(self._destination, self._destination.names(INPUTS), ["path", "stamp", "sha256", "study"]):
            self._book.remember(one["path"], one["stamp"], one["sha256"], one["study"])
        for one in rows_of(self._destination, self.parts(), ["input_sha256", "model_digest"]):
            if one["model_digest"] != self._model_digest:
                raise BulkError(
                    f"{self.folder} holds results of the weights {one['model_digest']}, but this version has "
                    f"{self._model_digest}: give another --out"
                )
            if one["input_sha256"]:
                self._book.was_done(one["input_sha256"])
        name = f"{self.folder}/{UNFINISHED}"
        for row in rows_of(self._destination, [one for one in self._destination.names(self.folder) if one == name]):
            if not row["input_sha256"] or not self._book.is_done(row["input_sha256"]):
                self._book.put_off(row)

    def parts(self) -> list[str]:
        """The files that hold finished rows."""
        return [one for one in self._destination.names(self.folder) if not one.endswith(f"/{UNFINISHED}")]

    def every(self) -> list[str]:
        """The files of the whole table."""
        return self._destination.names(self.folder)

    def add(self, row: Row) -> bool:
        """Whether the table did not have it. Raises :class:`NoRoomError` when a part is due and cannot be written."""
        if row.again:
            self._book.put_off(row.as_json())
            new = True
        elif new := self._book.finish(row):
            self._rows.append(row.as_json())
        self._read += 1
        if max(len(self._rows), self._read) >= PART_ROWS or self._clock() - self._written > PART_SECONDS:
            self.flush()
        return new

    def flush(self) -> None:
        """Writes what came since the last part. The rows go before the digests of their inputs, and these before what
        is to be tried again: killed between two of them, the next run does too much, never too little."""
        number, self._number = self._number, self._number + 1
        try:
            if self._rows:
                self._destination.write_table(f"{self.folder}/part-{self._run}-{number:06d}.parquet", table(self._rows))
                self._rows = []
            if fresh := self._book.fresh():
                self._destination.write_table(f"{INPUTS}/part-{self._run}-{number:06d}.parquet", inputs_table(fresh))
            if self._book.unfinished_changed:
                self._write_unfinished()
        except OSError as error:
            raise NoRoomError(f"the table cannot be written: {error.strerror or error}") from error
        self._read, self._written = 0, self._clock()

    def _write_unfinished(self) -> None:
        name = f"{self.folder}/{UNFINISHED}"
        left = [{one: row.get(one) for one in NAMES} for row in self._book.unfinished()]
        if left:
            self._destination.write_table(name, table(left))
        else:
            self._destination.remove(name)
        self._book.unfinished_changed = False
