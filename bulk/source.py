"""SOURCE -> the listing: a folder, a file, a manifest, an address, or a query of an archive."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path

from bulk.book import Book
from bulk.errors import BulkError
from bulk.listing import Wanted, list_address, list_file, list_folder, take
from bulk.places import local, without_secret
from bulk.studies import is_studies, list_studies
from bulk.task import Part

COLUMN = "path"
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


def _rows(path: Path) -> Iterator[str]:
    if path.suffix.lower() == ".csv":
        with path.open(encoding="utf-8-sig", newline="", errors="surrogateescape") as file:
            reader = csv.DictReader(file)
            try:
                if COLUMN not in (names := reader.fieldnames or ()):
                    raise BulkError(f"{path} has no column {COLUMN}; it has {', '.join(names) or 'none'}")
                for row in reader:
                    yield row[COLUMN] or ""
            except csv.Error as error:
                raise BulkError(f"{path}, after line {reader.line_num}: {error}") from error
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as table:
            if COLUMN not in table.schema_arrow.names:
                raise BulkError(f"{path} has no column {COLUMN}; it has {', '.join(table.schema_arrow.names)}")
            for batch in table.iter_batches(columns=[COLUMN]):
                yield from (str(one or "") for one in batch.column(0).to_pylist())
    except pa.ArrowInvalid as error:
        raise BulkError(f"{path} cannot be read as Parquet: {str(error)[:200]}") from error


def _manifest(book: Book, path: Path, wanted: Wanted) -> None:
    """Relative paths are the manifest's folder's. What is named but not there gets a row that says so."""
    plain = Wanted(wanted.out, "")  # what is named is wanted
    for number, name in enumerate(_rows(path), 1):
        if not name:
            raise BulkError(f"{path}: row {number} has an empty {COLUMN}")
        found = local(name)
        if "\0" in name:
            raise BulkError(f"{path}: row {number} has a {COLUMN} with a zero byte")
        without_secret(name)
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
