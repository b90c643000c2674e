"""A client's request -> what is to be segmented and how. Looks at names and lengths, never into a picture."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from web.contract.fields import (
    FIELDS,
    FILE_PART,
    HEADER_PREFIX,
    KINDS,
    LONGEST_ACCEPT,
    LONGEST_VALUE,
    MODEL,
    REQUEST_BYTES,
    VERSION,
    RefusedError,
    field_header,
    unknown_field,
)
from web.settings import valid_version
from web.way.length import is_long
from web.way.multipart import read_form, write_form

URLENCODED = "application/x-www-form-urlencoded"
JSON = "application/json"
JSON_BEGINS = {b"{": "a JSON object", b"[": "a JSON array", b'"': "a JSON string"}
# The first bytes of JPEG, PNG, TIFF, BigTIFF, gzip, zip and NIfTI: enough to see that a body is a scan whatever its
# header says. DICOM begins with 128 bytes of anything.
MAGIC = (
    *(b"\xff\xd8\xff", b"\x89PNG", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"\x1f\x8b", b"PK\x03\x04"),
    *(b"\x5c\x01\0\0", b"\0\0\x01\x5c", b"\x1c\x02\0\0", b"\0\0\x02\x1c"),
)
STICKY = "X-Request-Key"
DICOM_AT, DICOM = 128, b"DICM"
RAW = "application/octet-stream"
_HEADER_VALUE = re.compile(r"[\x20-\x7e]*")


@dataclass(frozen=True)
class Submission:
    """``scan``: the file's bytes, or a form of several files, as ``content_type`` says. ``fields``:
    name -> text as sent, each name of :data:`web.contract.fields.FIELDS`. ``accept``: the client's Accept
    header. ``version``: None for the default. ``long``: see :mod:`web.way.length`. ``sticky``: requests with the same
    one are answered by the same version while two share them; empty: none was sent. ``service`` of TorchServe:
    ``predictions`` or ``explanations``. ``model``: that is named, where the request may name one; None for the
    segmentation."""

    scan: bytes | memoryview
    fields: Mapping[str, str]
    accept: str
    version: str | None
    content_type: str = RAW
    long: bool = False
    sticky: str = ""
    service: str = "predictions"
    model: str | None = None

    def headers(self) -> dict[str, str]:
        """The request's headers for TorchServe."""
        return {
            "Content-Type": self.content_type,
            "Accept": self.accept or "application/json",
            **{field_header(name): value for name, value in self.fields.items()},
        }


def _query(text: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=20)
    except (ValueError, UnicodeDecodeError):
        raise RefusedError("invalid_parameter", "The query string cannot be read; send name=value pairs.") from None


def _header_fields(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """An empty header says nothing: some clients send one for each setting that they know."""
    prefix = HEADER_PREFIX.lower()
    return [
        (name.lower().removeprefix(prefix).replace("-", "_"), value)
        for name, value in headers
        if name.lower().startswith(prefix) and value.strip()
    ]


def merge(given: Mapping[str, Iterable[tuple[str, str]]], also: Container[str] = ()) -> dict[str, str]:
    """One value a field, wherever it came from; ``given``: names and values by the place that they were found in, in
    words; ``also``: names that are taken beside the contract's. Raises ``invalid_parameter`` for a name that is unknown
    or comes twice and for a value that no header can carry; all else about values is the handler's to judge, and of the
    version's :func:`_version`'s."""
    fields: dict[str, str] = {}
    places: dict[str, str] = {}
    for place, name, value in ((place, *pair) for place, pairs in given.items() for pair in pairs):
        if name not in (*FIELDS, VERSION) and name not in also:
            raise unknown_field(name)
        if name in fields:
            where = f"twice in {place}" if places[name] == place else f"in {places[name]} and in {place}"
            raise RefusedError("invalid_parameter", f"Field {name} is given {where}; give it once.")
        places[name] = place
        fields[name] = value if name == VERSION else _plain(name, value)
    return fields


def _plain(name: str, value: str) -> str:
    if len(value) > LONGEST_VALUE or not _HEADER_VALUE.fullmatch(value):
        raise RefusedError("invalid_parameter", f"Field {name}: expected at most {LONGEST_VALUE} ASCII characters.")
    if not value.strip():
        raise RefusedError("invalid_parameter", f"Field {name} is empty; give a value or leave it out.")
    return value.strip()


def _version(asked: str | None) -> str | None:
    if asked is not None and not valid_version(asked):
        raise RefusedError("model_not_found", f"No version {asked[:40]!r}; GET /api/v1/models lists them.")
    return asked


def _is_scan(body: bytes | memoryview) -> bool:
    head = bytes(body[: DICOM_AT + len(DICOM)])
    return head.startswith(MAGIC) or head.startswith(DICOM, DICOM_AT)


def _scans(
    body: bytes | memoryview, content_type: str, also: Container[str]
) -> tuple[dict[str, bytes | memoryview], list[tuple[str, str]]]:
    kind = content_type.split(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return read_form(bytes(body), content_type, also)
    # curl -d and --data-binary claim a form whatever they send.
    if kind == URLENCODED and not _is_scan(body):
        raise RefusedError(
            "no_image",
            "The form has no field 'file' with the scan in it. curl's -d sends a form: use -T FILE or -F file=@FILE.",
        )
    if (kind == JSON or kind.endswith("+json")) and not _is_scan(body):
        what = JSON_BEGINS.get(bytes(body[:1000]).lstrip()[:1], "said to be JSON")
        raise RefusedError(
            "unsupported_format",
            f"The body is {what}; expected the bytes of a scan's file as they are, not base64 in JSON: raw, or as the "
            f"part {FILE_PART!r} of a form. Settings go in the query.",
        )
    return {FILE_PART: body}, []


def _accept(header: str) -> str:
    if len(header) > LONGEST_ACCEPT:
        raise RefusedError(
            "not_acceptable",
            f"Accept has {len(header)} characters; at most {LONGEST_ACCEPT} are taken. Send one of {', '.join(KINDS)}.",
        )
    return header


def read_submission(
    body: bytes | memoryview, headers: Mapping[str, str], query: str, also: Container[str] = ()
) -> Submission:
    """``headers``: names in any case; ``query``: the text behind the ``?``; ``also``: names of fields that are taken
    beside the contract's.

    Raises ``empty_body``, ``no_image``, ``invalid_parameter``, ``model_not_found``, ``not_acceptable`` (a long
    Accept header), ``unsupported_format`` (an encoded body) or ``too_large``."""
    plain = {name.lower(): value for name, value in headers.items()}
    asked = _query(query)
    if not body:
        raise RefusedError("empty_body", "The request has no body; send the bytes of a scan's file.")
    if plain.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise RefusedError("unsupported_format", "The body has a Content-Encoding; send the file as it is.")
    scans, form = _scans(body, plain.get("content-type", ""), also)
    size = sum(len(scan) for scan in scans.values())
    if size > REQUEST_BYTES:
        raise RefusedError("too_large", f"The scan has {size} bytes; at most {REQUEST_BYTES} are taken.")
    fields = merge({"the query": asked, "a header": _header_fields(plain.items()), "the form": form}, also)
    version, model = _version(fields.pop(VERSION, None)), fields.pop(MODEL, None)
    accept = _accept(plain.get("accept", ""))
    long = any(map(is_long, scans.values()))
    sticky = plain.get(STICKY.lower(), "").strip()
    if set(scans) == {FILE_PART}:
        return Submission(scans[FILE_PART], fields, accept, version, long=long, sticky=sticky, model=model)
    together, kind = write_form(scans)
    return Submission(together, fields, accept, version, kind, long, sticky, model=model)
