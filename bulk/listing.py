"""What lies below a folder or an address: every name is a scan's, or is left out with a reason; none is passed over."""

from __future__ import annotations

import fnmatch
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bulk.book import Book, LeftOut
from bulk.dicom import STUDY_HEAD, study_in
from bulk.errors import BulkError
from bulk.places import filesystem, local, read, scheme_of
from bulk.task import Part
from handler.formats import FORMATS
from handler.volumes.sniff import kind_of

# Known by these endings whatever they hold: the handler says what is wrong with them.
ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".nii", ".nii.gz", ".zip")
DICOM, INDEX, METADATA = ".dcm", "DICOMDIR", "._"
STRANGE = "no scan by its name or its first bytes"
NOT_FOLLOWED = "a link to a folder: not followed"
NAMELESS = "a folder without a name: not followed"
HEAD = 540  # bytes by which a kind is known


@dataclass(frozen=True)
class Wanted:
    """``out``: the results' own folder, which is no source. ``skip``: a pattern of file names that are left out.
    ``out_address``: of results in a store, likewise no source."""

    out: Path | None
    skip: str
    out_address: str = ""


def _reason_of_name(name: str, wanted: Wanted) -> str:
    if name.startswith(METADATA):
        return "metadata of macOS"
    if name.upper() == INDEX:
        return "the index of a disc"
    return "its name is of --skip" if wanted.skip and fnmatch.fnmatch(name, wanted.skip) else ""


def _kind(name: str, address: str) -> str | None:
    """``scan``, ``dicom`` or None. Raises ``OSError``."""
    lower = name.lower()
    if lower.endswith(ENDINGS):
        return "scan"
    if lower.endswith(DICOM):
        return "dicom"
    head = read(address, HEAD)[:HEAD]
    if any(one.matches(head) for one in FORMATS):
        return "scan"
    found = kind_of(head)
    return "dicom" if found == "dicom" else "scan" if found else None


def take(book: Book, part: Part, name: str, wanted: Wanted) -> None:
    """Puts a file into the book, as a scan, as one of a study or as left out."""
    if reason := _reason_of_name(name, wanted):
        book.leave_out(LeftOut(part.address, reason))
        return
    try:
        kind = _kind(name, part.address)
        if kind is None:
            book.leave_out(LeftOut(part.address, STRANGE))
        elif kind == "scan":
            book.listed(part)
        else:
            # One that cannot be told goes with its folder; the handler refuses what does not belong together.
            known = book.known_study(part) or study_in(read(part.address, STUDY_HEAD))
            book.listed(part, known or part.address.rpartition("/")[0])
    except OSError:
        book.listed(part)  # asked for, and there: its row says that it cannot be read


def _entries(folder: str) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as found:
        return sorted(found, key=lambda entry: entry.name)


def _stamp(status: os.stat_result) -> str:
    return f"{status.st_size}-{status.st_mtime_ns}"


def _one(book: Book, entry: os.DirEntry[str], wanted: Wanted) -> str | None:
    """A folder to go into, if it is one."""
    try:
        status = entry.stat()
    except OSError as error:
        reason = "a link to nothing" if entry.is_symlink() else f"cannot be looked at: {error.strerror}"
        book.leave_out(LeftOut(entry.path, reason))
        return None
    if stat.S_ISDIR(status.st_mode):
        if entry.is_symlink():
            book.leave_out(LeftOut(entry.path, NOT_FOLLOWED))
        elif wanted.out is None or Path(entry.path).resolve() != wanted.out:
            return entry.path
    elif stat.S_ISREG(status.st_mode):
        take(book, Part(entry.path, status.st_size, _stamp(status)), entry.name, wanted)
    else:
        book.leave_out(LeftOut(entry.path, "no plain file"))
    return None


def list_folder(book: Book, folder: Path, wanted: Wanted) -> None:
    """Everything below ``folder``, depth first, in order of name."""
    ahead = [os.fspath(folder)]
    while ahead:
        place = ahead.pop()
        try:
            found = _entries(place)
        except OSError as error:
            book.leave_out(LeftOut(place, f"cannot be listed: {error.strerror}"))
            continue
        inner = [one for entry in found if (one := _one(book, entry, wanted))]
        ahead += reversed(inner)


def file_part(path: Path) -> Part | None:
    """``path`` as a part; None where a folder lies there. One that is not there is known when it is to be read."""
    try:
        status = path.stat()
    except OSError:
        return Part(os.fspath(path), 0)
    return None if stat.S_ISDIR(status.st_mode) else Part(os.fspath(path), status.st_size, _stamp(status))


def list_file(book: Book, path: Path, wanted: Wanted) -> None:
    """One file, as if its folder held nothing else. Raises ``OSError``."""
    status = path.stat()
    take(book, Part(os.fspath(path), status.st_size, _stamp(status)), path.name, wanted)


def _store_stamp(info: dict[str, Any]) -> str:
    """Empty where the store tells nothing that changes with the content."""
    told = next((info[name] for name in ("ETag", "etag", "LastModified", "mtime", "updated") if info.get(name)), None)
    return "" if told is None else f"{info.get('size')}-{told}"


def _remote(system: Any, folder: str, seen: str = "") -> Iterator[dict[str, Any]]:
    """Files below ``folder``. One without a name, as ``a//b`` has, comes as ``seen`` again: it is given as it is."""
    for info in sorted(system.ls(folder, detail=True), key=lambda one: str(one["name"])):
        name = str(info["name"])
        if info["type"] != "directory":
            if not name.endswith("/"):  # a folder's own mark, as consoles make
                yield info
        elif name.rstrip("/") == seen.rstrip("/"):
            yield info
        else:
            yield from _remote(system, name, name)


def list_address(book: Book, address: str, wanted: Wanted) -> None:
    """Everything below an address that fsspec knows. Raises :class:`BulkError` where it cannot be listed."""
    path = local(address)
    if path is not None:
        list_folder(book, path, wanted)
        return
    system = filesystem(address)
    scheme = address.partition("://")[0]
    top, results = (str(system._strip_protocol(one)) for one in (address, wanted.out_address))
    same_store = scheme_of(wanted.out_address) == scheme.lower()

    def is_result(name: str) -> bool:
        return same_store and f"{name}/".startswith(f"{results}/")

    if is_result(top):
        raise BulkError("SOURCE lies in --out; results would be scans of the next run: give another --out")
    try:
        for info in _remote(system, address, top):
            name = str(info["name"])
            shown = name if "://" in name else f"{scheme}://{name.lstrip('/') if scheme != 'memory' else name}"
            if is_result(name):
                continue
            if info["type"] == "directory":
                book.leave_out(LeftOut(shown, NAMELESS))
                continue
            take(book, Part(shown, int(info.get("size") or 0), _store_stamp(info)), name.rpartition("/")[2], wanted)
    except Exception as error:  # each store's library has its own
        raise BulkError(f"{address} cannot be listed: {type(error).__name__}: {str(error)[:200]}") from error
