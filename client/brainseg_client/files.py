"""Files: read within bounds, written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from brainseg_client.errors import ScanError

LARGEST_SCAN = 64 * 2**20  # bytes; the contract's limit
UNFINISHED = ".brainseg-part"  # the ending of what is still being written
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


def check_size(size: int) -> None:
    """Raises :class:`ScanError` ``too_large`` for a scan of more bytes than a server takes."""
    if size > LARGEST_SCAN:
        raise ScanError("too_large", f"The file has {size} bytes; at most {LARGEST_SCAN} are taken. It was not sent.")


def read_scan(path: Path) -> bytes:
    """The bytes of ``path``. Raises as :func:`check_size`, before it is read, and ``OSError``."""
    with path.open("rb") as file:
        check_size(os.fstat(file.fileno()).st_size)
        data = file.read(LARGEST_SCAN + 1)  # it may grow meanwhile
    check_size(len(data))
    return data


def write_atomic(path: Path, data: bytes) -> None:
    """Writes ``data`` under a temporary name in the same folder and renames it: readers see the old or the new file.
    Who may read it is what the umask leaves."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not the file's own name with something before it: that may be as long as names can be.
    temporary = path.parent / f".{secrets.token_hex(8)}{UNFINISHED}"
    descriptor = os.open(temporary, _FLAGS, 0o644)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def sweep(folder: Path) -> None:
    """Removes what runs that were killed had begun to write below ``folder``, in which nobody else may be writing."""
    for left in folder.rglob(f".*{UNFINISHED}"):
        left.unlink(missing_ok=True)
