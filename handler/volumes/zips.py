"""A zip -> its files, in memory, within bounds that are checked before anything is unpacked. Nothing goes to disk."""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field

from handler.errors import RequestError
from handler.limits import Limits
from handler.volumes.sniff import ZIP_MAGICS
from handler.wanted import ask

ENTRY = b"PK\x01\x02"  # what each entry of a zip's directory begins with
WITHOUT_SCANS = ("dicomdir", ".ds_store", "thumbs.db", "desktop.ini")
SMALL = 16 * 2**20  # below this no ratio is a danger


@dataclass(frozen=True)
class Packed:
    """A file of an upload. ``number``: its place among the zip's files, counted from 1: messages name it by that, since
    ``name`` may be a patient's and never leaves the process. ``data``: its bytes."""

    number: int
    name: str = field(repr=False)
    data: bytes = field(repr=False)


def _check_name(info: zipfile.ZipInfo, number: int) -> None:
    parts = info.filename.replace("\\", "/").split("/")
    if info.filename.startswith(("/", "\\")) or ".." in parts or ":" in parts[0] or "\0" in info.orig_filename:
        raise RequestError(
            "corrupt_image",
            f"The name of file {number} of the zip leads out of the zip. Pack the folder of the series again.",
        )
    if stat.S_ISLNK(info.external_attr >> 16):
        raise RequestError("corrupt_image", f"File {number} of the zip is a link. Pack the files themselves.")


def _check(info: zipfile.ZipInfo, number: int) -> None:
    _check_name(info, number)
    if info.flag_bits & 0x1:
        raise RequestError("unsupported_format", f"File {number} of the zip is encrypted. Send the zip unencrypted.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise RequestError(
            "unsupported_format",
            f"File {number} of the zip is packed by method {info.compress_type}; expected deflate. Pack it again.",
        )


def _skipped(name: str) -> bool:
    folders = name.replace("\\", "/").lower().split("/")
    return "__macosx" in folders or folders[-1].startswith("._") or folders[-1] in WITHOUT_SCANS


def _entries(archive: zipfile.ZipFile, size: int, limits: Limits) -> list[tuple[int, zipfile.ZipInfo]]:
    """Numbered from 1; folders, and what archivers and CDs put beside scans, left out. All checks are in here."""
    files = [info for info in archive.infolist() if not info.is_dir()]
    if len(files) > limits.archive_files:
        raise RequestError(
            "too_large", f"The zip holds {len(files)} files; at most {limits.archive_files} are taken. Send one study."
        )
    for number, info in enumerate(files, 1):
        _check(info, number)
    total = sum(info.file_size for info in files)
    if total > limits.unpacked_bytes or (total > SMALL and total > limits.archive_ratio * size):
        raise RequestError(
            "too_large",
            f"The zip of {size} bytes unpacks to {total}; at most {limits.unpacked_bytes} are taken, and at most "
            f"{limits.archive_ratio} times its own size. Send fewer series.",
        )
    return [(number, info) for number, info in enumerate(files, 1) if not _skipped(info.filename)]


def unzip(data: bytes, limits: Limits) -> Iterator[Packed]:
    """The files of the zip ``data`` in its own order, each checked by length and check sum.

    Raises ``too_large`` (number of files, bytes, ratio), ``corrupt_image`` (damaged, absolute names, names with ``..``,
    links) or ``unsupported_format`` (encrypted, another packing than deflate, a zip inside of the zip)."""
    if data.count(ENTRY) > limits.archive_files + 1000:  # before the library makes an object for each
        raise RequestError("too_large", f"The zip holds more than {limits.archive_files} files. Send one study.")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for number, info in _entries(archive, len(data), limits):
                ask()
                content = archive.read(info)
                if len(content) != info.file_size:
                    raise zipfile.BadZipFile
                if content.startswith(ZIP_MAGICS):
                    raise RequestError(
                        "unsupported_format", f"File {number} of the zip is a zip itself. Pack the files directly."
                    )
                yield Packed(number, info.filename, content)
    except RequestError:
        raise
    except Exception:  # the library raises whatever it trips over
        raise RequestError(
            "corrupt_image", "The zip is damaged or cut off: it cannot be unpacked. Pack it again."
        ) from None
