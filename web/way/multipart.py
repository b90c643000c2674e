"""The parts of a multipart/form-data body (RFC 7578), as views of the bytes in memory.

TorchServe keeps the last of two parts with one name and web frameworks spool parts to disk; so the front door looks
itself, and hands the scan on as a raw body.

Libraries were weighed: Werkzeug 3.1 (its stream factory keeps parts in memory) and multipart 2.0 both copy every part,
65 MiB more for a scan of 62, and take two to three times as long; here nothing is copied. Werkzeug passes over what
comes before the first boundary and takes parts without a name, which would be refused here all the same."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass

from web.contract.fields import (
    FIELDS,
    FILE_PART,
    LONGEST_VALUE,
    SEQUENCE_PARTS,
    VERSION,
    RefusedError,
    unknown_field,
)

MOST_PARTS = 32
LONGEST_PART_HEADER = 4096
LONGEST_PART = 1000  # bytes of a field, with the spaces around its value
_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)
# Whole, so that what looks like one within a quoted file name is none. Clients write a quote in it as \" or %22.
_PARAMETER = re.compile(rb';\s*([^\s=;"]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))')
CUT = "The multipart body is cut off or not well-formed; send the scan as the part 'file' of a form."


@dataclass(frozen=True)
class Part:
    """``data``: a view of the body, valid while the body is. ``file``: whether a file name came with it."""

    name: str
    data: memoryview
    file: bool = False


def boundary_of(content_type: str) -> bytes:
    """The delimiter ``--boundary``. Raises ``no_image`` where the header names none."""
    match = _BOUNDARY.search(content_type)
    if not match:
        raise RefusedError(
            "no_image", "The Content-Type is multipart/form-data without a boundary: let a library set it."
        )
    return b"--" + (match[1] or match[2]).encode("latin-1", "replace")


def _disposition(header: bytes) -> dict[bytes, bytes]:
    """The parameters of a part's Content-Disposition, names in lower case, the first of several with one name."""
    found: dict[bytes, bytes] = {}
    for line in header.split(b"\r\n"):
        if line.lower().startswith(b"content-disposition:"):
            for match in _PARAMETER.finditer(line):
                found.setdefault(match[1].lower(), match[3] if match[2] is None else match[2])
    return found


def _part(header: bytes, data: memoryview) -> Part:
    found = _disposition(header)
    if b"name" not in found:
        raise RefusedError("no_image", "A part of the form has no name; send the scan as the part 'file'.")
    named = b"filename" in found or b"filename*" in found
    return Part(found[b"name"].decode("utf-8", "replace"), data, named)


def parts(body: bytes, content_type: str) -> Iterator[Part]:
    """The parts of ``body`` in order. Raises ``no_image`` for a body that is no such form."""
    delimiter = boundary_of(content_type)
    if not body.startswith(delimiter):
        raise RefusedError("no_image", CUT)
    view, position = memoryview(body), len(delimiter)
    for _ in range(MOST_PARTS):
        if body.startswith(b"--", position):
            return
        start = body.find(b"\r\n\r\n", position, position + LONGEST_PART_HEADER)
        end = body.find(b"\r\n" + delimiter, start + 2)
        if not body.startswith(b"\r\n", position) or start < 0 or end < 0:
            raise RefusedError("no_image", CUT)
        yield _part(body[position:start], view[start + 4 : max(end, start + 4)])
        position = end + 2 + len(delimiter)
    raise RefusedError("no_image", f"The form has more than {MOST_PARTS} parts.")


def _text(part: Part) -> str:
    if len(part.data) > LONGEST_PART:
        raise RefusedError(
            "invalid_parameter", f"Field {part.name}: expected at most {LONGEST_VALUE} ASCII characters."
        )
    try:
        return bytes(part.data).decode("ascii").strip()
    except UnicodeDecodeError:
        raise RefusedError("invalid_parameter", f"Field {part.name} is not plain ASCII text.") from None


def read_form(
    body: bytes, content_type: str, also: Container[str] = ()
) -> tuple[dict[str, bytes | memoryview], list[tuple[str, str]]]:
    """The scan, by part (one of a picture, several of a scan with geometry), and the fields beside it. ``also``: names
    of fields that are taken beside the contract's. Raises
    ``no_image``, or ``invalid_parameter`` for a part that is unknown or given twice."""
    scans: dict[str, bytes | memoryview] = {}
    fields: list[tuple[str, str]] = []
    for part in parts(body, content_type):
        if part.name in (FILE_PART, *SEQUENCE_PARTS):
            if part.name in scans:
                raise RefusedError(
                    "invalid_parameter", f"The form has two parts '{part.name}'; send one scan a request."
                )
            scans[part.name] = part.data
        elif part.name in (*FIELDS, VERSION) or part.name in also:
            fields.append((part.name, _text(part)))
        else:
            raise unknown_field(part.name, part.file or len(part.data) > LONGEST_PART)
    if not scans:
        raise RefusedError("no_image", "The form has no field 'file' with the scan in it.")
    for name, data in scans.items():
        if not data:
            raise RefusedError("no_image", f"The part '{name}' is empty (0 bytes); expected a scan's file.")
    return scans, fields


def write_form(scans: Mapping[str, bytes | memoryview]) -> tuple[bytes, str]:
    """``scans`` by part as a form and its Content-Type. The same scans give the same bytes, by which a request that
    killed a worker is known again."""
    digest = hashlib.sha256()
    for data in scans.values():
        digest.update(data)
    boundary = f"brainseg-{digest.hexdigest()[:48]}"  # in none of them: who could put a digest into what it is of?
    chunks: list[bytes | memoryview] = []
    for name, data in scans.items():
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n'
        chunks += [f"{head}Content-Type: application/octet-stream\r\n\r\n".encode(), data, b"\r\n"]
    return b"".join([*chunks, f"--{boundary}--\r\n".encode()]), f"multipart/form-data; boundary={boundary}"
