"""Volumes as the client needs them: known by their first bytes, a DICOM series as one zip, the server's zip read."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from brainseg_client.errors import ScanError, UnreachableError
from brainseg_client.files import read_scan
from brainseg_client.results import Segmentation, segmentation

RESULT = "result.json"
Source = bytes | str | Path
LARGEST_SERIES = 400 * 2**20  # bytes before packing; what the server unpacks at most
STARTS = (b"\x1f\x8b", b"PK\x03\x04", b"PK\x05\x06")  # gzip, zip, a zip with nothing in it
MAGICS = (
    (128, (b"DICM",)),
    (344, (b"n+1\0", b"ni1\0")),
    (4, (b"n+2\0\r\n\x1a\n", b"ni2\0\r\n\x1a\n")),
)


def is_volume(data: bytes) -> bool:
    """Whether ``data`` begins as NIfTI, DICOM, gzip or zip does: nothing of which a picture's mask could be drawn."""
    return data.startswith(STARTS) or any(data.startswith(magics, place) for place, magics in MAGICS)


def is_dicom(path: Path) -> bool:
    """Whether the file at ``path`` is called DICOM or has ``DICM`` after its preamble; an index of a CD is none."""
    if path.name.upper() == "DICOMDIR":
        return False
    if path.suffix.lower() == ".dcm":
        return True
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def series_files(folder: Path) -> list[Path]:
    """The DICOM files that lie in ``folder`` itself, in order of name; hidden ones, as macOS puts beside others, are
    none. Raises ``OSError``."""
    return sorted(
        path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file() and is_dicom(path)
    )


def zipped(files: Sequence[bytes]) -> bytes:
    """DICOM files as one zip, by number: names may be a patient's."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for number, data in enumerate(files):
            packed.writestr(zipfile.ZipInfo(f"{number:05d}.dcm"), data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def read_series(paths: Sequence[Path]) -> bytes:
    """DICOM files as one zip. Raises :class:`ScanError` ``too_large`` before they are read, and ``OSError``."""
    size = sum(path.stat().st_size for path in paths)
    if size > LARGEST_SERIES:
        raise ScanError(
            "too_large", f"The {len(paths)} DICOM files have {size} bytes; at most {LARGEST_SERIES} are taken."
        )
    return zipped([path.read_bytes() for path in paths])


def read_source(source: bytes | str | Path) -> bytes:
    """The bytes of a file, or of the DICOM files in a folder as a zip. Raises as :func:`read_series`, and
    ``ValueError`` for a folder that has none."""
    if isinstance(source, bytes):
        return source
    path = Path(source)
    if not path.is_dir():
        return read_scan(path)
    found = series_files(path)
    if not found:
        raise ValueError(f"the folder {str(path)!r} holds no DICOM files; expected some that lie in it, not below it")
    return read_series(found)


def unpacked(bundle: bytes) -> dict[str, bytes]:
    """Name -> bytes of the server's zip; plain names only. Raises :class:`UnreachableError` for something else."""
    try:
        with zipfile.ZipFile(io.BytesIO(bundle)) as packed:
            return {name: packed.read(name) for name in packed.namelist() if Path(name).name == name}
    # The last three: a part that does not inflate, breaks off, or is encrypted or packed by other means.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise UnreachableError("unreachable", "the answer is not the contract's zip: is this a front door?") from error


def result_of(files: Mapping[str, bytes]) -> Segmentation:
    """The measurements out of the server's zip. Raises :class:`UnreachableError` where they are not the contract's."""
    try:
        return segmentation(json.loads(files[RESULT]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        said = f"the answer's {RESULT} is not the contract's: {type(error).__name__}"
        raise UnreachableError("unreachable", said) from error
