"""Names out of a file system, whatever bytes they are of, as text that SQLite and Parquet take, and back; and what a
model's results lie under."""

from __future__ import annotations

import re

from archive.store import MODEL_NAME

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


def key_of(model: str, version: str) -> str:
    """What results are found again under, beside their input's digest: of the segmentation itself its version, as
    before there were others; of a model beside it what its release is called.

    >>> key_of("brainseg", "2.0"), key_of("brainseg-regions", "0.1")
    ('2.0', 'brainseg-regions-0.1')
    """
    return version if model == MODEL_NAME else f"{model}-{version}"
