"""Files: written whole or not at all, and known by their digest."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path


def write_atomic(path: Path, data: bytes) -> None:
    """Writes ``data`` under a temporary name in the same folder and renames it: readers see the old or the new file.
    Who may read it is what the umask leaves of 0644."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not mkstemp, whose files the umask does not touch once they are opened to others.
    # Begins with the name, as far as that fits: by it, those who sweep know whose leftovers they see.
    begin = os.fsdecode(os.fsencode(path.name)[:200])
    temporary = path.parent / f".{begin}.{secrets.token_hex(8)}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def sha256_of(path: Path) -> str:
    """``sha256:<hex>`` of the file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return f"sha256:{digest.hexdigest()}"
