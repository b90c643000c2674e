"""The clients' API keys: a file with one ``name key`` a line, read again whenever it changes."""

from __future__ import annotations

import codecs
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
EMPTIED_SECONDS = 5.0  # who writes a file in place empties it first; on a busy machine the rest comes late
_COMMENT = re.compile(r"(^|\s)#.*")
_LINE = re.compile(r"([A-Za-z0-9._-]{1,40})\s+(\S+)")


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


class NoKeysError(ValueError):
    """There is no key in the file, and nothing else either."""


def read_text(content: bytes) -> str:
    """The text of a file of keys. Raises ``ValueError`` that says which encoding was expected."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in content:
        raise ValueError("it is UTF-16, as some editors save text; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line}: it is not UTF-8 (Latin-1, perhaps); save it as UTF-8") from None


def parse_keys(text: str) -> dict[str, bytes]:
    """Name -> SHA-256 of the key. Empty lines are passed over, and what follows a ``#`` at the beginning of a line or
    behind a space.

    Raises ``ValueError``, which never shows a key, for a line that is something else, a name given twice, a key that
    is too short or that no header can carry; :class:`NoKeysError` for no key at all."""
    keys: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = _COMMENT.sub("", line).split()
        if not words:
            continue
        if len(words) > 2:
            raise ValueError(f"line {number}: it has {len(words)} words; expected 'name key', one key a line")
        match = _LINE.fullmatch(" ".join(words))
        if not match:
            raise ValueError(f"line {number}: expected 'name key', the name of letters, digits, '.', '_' and '-'")
        if not match[2].isascii() or not match[2].isprintable():
            raise ValueError(
                f"line {number}: the key has characters that an Authorization header cannot carry; take letters, "
                "digits and signs of ASCII, such as openssl rand -hex 24 gives"
            )
        if match[1] in keys:
            raise ValueError(f"line {number}: the name {match[1]} is there twice")
        if len(match[2]) < SHORTEST:
            raise ValueError(f"line {number}: the key has fewer than {SHORTEST} characters; take openssl rand -hex 24")
        keys[match[1]] = _digest(match[2])
    if not keys:
        raise NoKeysError("there is no key in it; add a line 'name key'")
    return keys


class ApiKeys:
    """Safe to use from several threads. Raises ``OSError`` or ``ValueError`` when the file cannot be used at the start;
    later a broken or missing file leaves the last good keys in force and is logged. One that was emptied lets nobody
    in any more."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._stamp = self._stat()
        self._keys = parse_keys(read_text(path.read_bytes()))
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
            age = time.time() - stamp[0] / 1e9
            if stamp == self._stamp or 0 <= age < SETTLED_SECONDS or (not stamp[1] and 0 <= age < EMPTIED_SECONDS):
                return
            self._stamp = stamp
            self._keys = parse_keys(read_text(self._path.read_bytes()))
            logger.info("API keys read again: %d", len(self._keys))
            self._warn_if_open()
        except NoKeysError:
            self._keys = {}
            logger.warning("the file of API keys was emptied: nobody is let in")
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
