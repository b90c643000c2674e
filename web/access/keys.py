"""The clients' API keys: a file with one ``name key`` a line, read again whenever it changes."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import stat
import threading
import time
from pathlib import Path

logger = logging.getLogger(__name__)
SHORTEST = 20  # characters; `openssl rand -hex 24` gives 48
SETTLED_SECONDS = 0.2  # a file that changed just now may be half written
_LINE = re.compile(r"([A-Za-z0-9._-]{1,40})\s+(\S+)")


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def parse_keys(text: str) -> dict[str, bytes]:
    """Name -> SHA-256 of the key. Empty lines and lines beginning with ``#`` are passed over.

    Raises ``ValueError``, which never shows a key, for a line that is something else, a name given twice, a key that
    is too short, or no key at all."""
    keys: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if not match:
            raise ValueError(f"line {number}: expected 'name key', the name of letters, digits, '.', '_' and '-'")
        if match[1] in keys:
            raise ValueError(f"line {number}: the name {match[1]} is there twice")
        if len(match[2]) < SHORTEST:
            raise ValueError(f"line {number}: the key has fewer than {SHORTEST} characters; take openssl rand -hex 24")
        keys[match[1]] = _digest(match[2])
    if not keys:
        raise ValueError("there is no key in it; add a line 'name key'")
    return keys


class ApiKeys:
    """Safe to use from several threads. Raises ``OSError`` or ``ValueError`` when the file cannot be used at the start;
    later a broken or missing file leaves the last good keys in force and is logged."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._stamp = self._stat()
        self._keys = parse_keys(path.read_text(encoding="utf-8"))
        self._warn_if_open()

    def _stat(self) -> tuple[int, int, int]:
        status = self._path.stat()
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _warn_if_open(self) -> None:
        mode = stat.S_IMODE(self._path.stat().st_mode)
        if mode & 0o077:
            logger.warning("others on this machine may read the file of API keys (mode %04o): chmod 600", mode)

    def _reread(self) -> None:
        """Lock held."""
        try:
            stamp = self._stat()
            if stamp == self._stamp or 0 <= time.time() - stamp[0] / 1e9 < SETTLED_SECONDS:
                return
            self._stamp = stamp
            self._keys = parse_keys(self._path.read_text(encoding="utf-8"))
            logger.info("API keys read again: %d", len(self._keys))
            self._warn_if_open()
        except (OSError, ValueError) as error:
            logger.warning("the file of API keys cannot be used, the keys before stay good: %s", _without_path(error))

    def name_of(self, key: str) -> str | None:
        """Whose ``key`` is; None for nobody's. Takes as long whether and wherever it is in the file."""
        with self._lock:
            self._reread()
            keys = self._keys
        presented, found = _digest(key), None
        for name, digest in keys.items():
            if hmac.compare_digest(presented, digest):
                found = name
        return found


def _without_path(error: Exception) -> str:
    return str(error) if isinstance(error, ValueError) else type(error).__name__
