"""The API key: out of a file or the environment, never from the command line, which other users can see."""

from __future__ import annotations

import codecs
import os
import stat
from collections.abc import Callable
from pathlib import Path

VARIABLE = "BRAINSEG_API_KEY"
LARGEST = 65_536  # bytes; a file of keys is smaller
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


class ApiKeyError(ValueError):
    """There is no key to be had; the message never shows one."""


def find_key(file: Path | None, warn: Callable[[str], None]) -> str | None:
    """The key in ``file``, else in :data:`VARIABLE`; None where neither is given. ``warn`` gets a line when others may
    read the file. Raises :class:`ApiKeyError` or ``OSError``."""
    if file is None:
        given = os.environ.get(VARIABLE, "")
        return _one_key(given, VARIABLE) if given.strip() else None
    with file.open("rb") as opened:
        mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
        raw = opened.read(LARGEST + 1)
    if os.name == "posix" and mode & 0o077:
        warn(f"{file} holds a key and others may read it (mode {mode:04o}). Make it yours: chmod 600")
    if len(raw) > LARGEST:
        raise ApiKeyError(f"{file} has more than {LARGEST} bytes; expected a file with one key")
    return _one_key(_decoded(raw, file), str(file))


def _decoded(raw: bytes, file: Path) -> str:
    encoding = next((name for mark, name in _MARKS.items() if raw.startswith(mark)), "utf-8")
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        raise ApiKeyError(
            f"{file} is no text in UTF-8 (nor UTF-16 with its mark): write it anew, with one key"
        ) from None


def _one_key(text: str, where: str) -> str:
    """The key of the one line that is neither empty nor a comment: ``key``, or ``name key`` as servers have it."""
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if len(lines) != 1:
        held = f"{len(lines)} keys" if lines else "no key"
        raise ApiKeyError(f"{where} holds {held}; expected one, in a line 'key' or 'name key'")
    if len(lines[0]) > 2:
        raise ApiKeyError(f"{where}: the line of the key has {len(lines[0])} words; expected 'key' or 'name key'")
    return check_key(lines[0][-1], where)


def check_key(key: str, where: str) -> str:
    """``key`` itself. Raises :class:`ApiKeyError` where it could not be sent."""
    if not key or not all("!" <= one <= "~" for one in key):
        raise ApiKeyError(
            f"{where}: the key holds characters that no key has; expected printable ASCII without blanks. Look at what "
            "was copied"
        )
    return key
