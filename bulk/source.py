"""SOURCE -> the listing: a folder, a file, a manifest, an address, or a query of an archive."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bulk.book import Book
from bulk.errors import BulkError
from bulk.listing import Wanted, file_part, list_address, list_file, list_folder, take
from bulk.places import local, without_secret
from bulk.studies import is_studies, list_studies
from bulk.task import Part
from handler.request import SEQUENCE_PARTS

COLUMN = "path"
CASE = SEQUENCE_PARTS  # columns instead of it, the first always
MANIFESTS = (".csv", ".parquet")


def list_source(book: Book, source: str, wanted: Wanted, authorization: str = "") -> int:
    """Puts what ``source`` holds into ``book``; how many scans. ``authorization``: for an archive. Raises
    :class:`BulkError`."""
    path = local(source)
    if is_studies(source):
        list_studies(book, source, authorization)
    elif path is None:
        list_address(book, source, wanted)
    elif path.is_dir():
        if path.resolve() == wanted.out:
            raise BulkError(
                "SOURCE and --out are one folder; results would be scans of the next run: give another --out"
            )
        os.scandir(path).close()  # raises where nothing could be listed: that is no empty archive
        list_folder(book, path.absolute(), wanted)
    elif path.suffix.lower() in MANIFESTS and path.is_file():
        _manifest(book, path.absolute(), wanted)
    elif path.is_file():
        list_file(book, path.absolute(), wanted)
    else:
        raise BulkError(f"{source} is no folder, file, manifest ({', '.join(MANIFESTS)}) or address")
    return book.grouped()


def _columns(path: Path, names: Sequence[str]) -> list[str]:
    """``path`` alone, or the sequences of a case. Raises :class:`BulkError` where there is neither."""
    if COLUMN in names:
        return [COLUMN]
    if CASE[0] in names:
        return [name for name in CASE if name in names]
    raise BulkError(f"{path} has no column {COLUMN} (or {', '.join(CASE)}); it has {', '.join(names) or 'none'}")


def _rows(path: Path) -> Iterator[dict[str, str]]:
    if path.suffix.lower() == ".csv":
        with path.open(encoding="utf-8-sig", newline="", errors="surrogateescape") as file:
            reader = csv.DictReader(file)
            try:
                wanted = _columns(path, reader.fieldnames or ())
                for row in reader:
                    yield {name: row[name] or "" for name in wanted}
            except csv.Error as error:
                raise BulkError(f"{path}, after line {reader.line_num}: {error}") from error
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as table:
            for batch in table.iter_batches(columns=_columns(path, table.schema_arrow.names)):
                yield from ({name: str(one or "") for name, one in row.items()} for row in batch.to_pylist())
    except pa.ArrowInvalid as error:
        raise BulkError(f"{path} cannot be read as Parquet: {str(error)[:200]}") from error


def _manifest(book: Book, path: Path, wanted: Wanted) -> None:
    """Relative paths are the manifest's folder's. What is named but not there gets a row that says so."""
    plain = Wanted(wanted.out, "")  # what is named is wanted
    for number, row in enumerate(_rows(path), 1):
        for column, name in row.items():
            if not name and column in (COLUMN, CASE[0]):
                raise BulkError(f"{path}: row {number} has an empty {column}")
            if "\0" in name:
                raise BulkError(f"{path}: row {number} has a {column} with a zero byte")
            without_secret(name)
        if COLUMN not in row:
            _case(book, path, number, row)
            continue
        name = row[COLUMN]
        found = local(name)
        if found is None:
            take(book, Part(name, 0), name.rpartition("/")[2], plain)
            continue
        place = Path(os.path.normpath(path.parent / found))
        try:
            if place.is_dir():
                list_folder(book, place, plain)
            else:
                list_file(book, place, plain)
        except OSError:
            book.listed(Part(os.fspath(place), 0))


def _case(book: Book, manifest: Path, number: int, row: Mapping[str, str]) -> None:
    """``row``: a file each of the sequences that the case has; of a FLAIR alone it is a scan as any other."""
    given = {column: name for column, name in row.items() if name}
    for column, name in given.items():
        found = local(name)
        part = Part(name, 0) if found is None else file_part(Path(os.path.normpath(manifest.parent / found)))
        if is_studies(name) or part is None:
            raise BulkError(
                f"{manifest}: row {number}, {column}: expected one file, such as a NIfTI or a zip of a series"
            )
        if not book.listed(
            replace(part, sequence=column if len(given) > 1 else ""), f"case {number}" if len(given) > 1 else ""
        ):
            raise BulkError(f"{manifest}: row {number}, {column}: the file was named before; one is of one case")
