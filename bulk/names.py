"""Names out of a file system, whatever bytes they are of, as text that SQLite and Parquet take, and back."""

from __future__ import annotations

import re

_ESCAPE = re.compile(r"\\(\\|x[0-9a-f]{2})")


def text_of(address: str) -> str:
    r"""``address`` with bytes that are no UTF-8 as ``\xNN`` and the backslash doubled; no two alike.

    >>> text_of("scan\udcff.png")
    'scan\\xff.png'
    """
    if address.isascii() and "\\" not in address:
        return address
    return "".join(_character(one) for one in address)


def _character(one: str) -> str:
    if "\udc80" <= one <= "\udcff":  # how Python holds a byte that is no UTF-8
        return f"\\x{ord(one) - 0xDC00:02x}"
    return "\\\\" if one == "\\" else one


def address_of(text: str) -> str:
    """What :func:`text_of` was given."""
    return _ESCAPE.sub(lambda found: "\\" if found[1] == "\\" else chr(0xDC00 + int(found[1][1:], 16)), text)
