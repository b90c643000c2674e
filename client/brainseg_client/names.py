"""Names out of a file system, whatever they are, as text: for records, tables and terminals."""

from __future__ import annotations

FORMULA = ("=", "+", "-", "@")  # what makes a spreadsheet compute a cell


def shown(name: str) -> str:
    r"""``name`` as text that is valid everywhere and on one line. Bytes that are no UTF-8, control characters and the
    backslash are written as ``\xNN``, ``\uNNNN`` or ``\\``; all else stays. No two names are shown alike.

    >>> shown("scan\udcff.png")
    'scan\\xff.png'
    """
    return "".join(_character(one) for one in name)


def _character(one: str) -> str:
    if one == "\\":
        return "\\\\"
    if "\udc80" <= one <= "\udcff":  # how Python holds a byte that is no UTF-8
        return f"\\x{ord(one) - 0xDC00:02x}"
    if one.isprintable():
        return one
    code = ord(one)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def cell(text: str) -> str:
    """``text`` for a table, never a formula: a file's name begins with ``./`` then, which names the same file."""
    return f"./{text}" if text.startswith(FORMULA) else text


def remark(text: str) -> str:
    """As :func:`cell`, for words that are no file's name."""
    return f"'{text}" if text.lstrip().startswith(FORMULA) else text
