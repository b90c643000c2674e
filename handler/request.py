"""What came in -> the scan's bytes and the fields. Knows the shapes in which TorchServe hands over a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from handler.accept import negotiate
from handler.errors import RequestError
from handler.fields import Fields, header_fields, parse_fields
from handler.volumes.sniff import is_volume

FILE_PART = "file"
RAW_PART = "body"
SEQUENCE_PARTS = ("flair", "t1", "t1c")  # of a scan with geometry, each a file of its own


@dataclass(frozen=True)
class Request:
    """``scans``: the bytes of whole files by the part's name, ``file`` (a raw body too) and :data:`SEQUENCE_PARTS`.
    ``accept``: those of :data:`handler.accept.KINDS` that the client takes, the one liked best first."""

    scans: Mapping[str, bytes]
    fields: Fields
    accept: tuple[str, ...]

    @property
    def geometric(self) -> bool:
        """Whether it is a scan with geometry, or claims to be one."""
        return set(self.scans) != {FILE_PART} or is_volume(self.scans[FILE_PART])


def _text(value: object, name: str) -> str:
    if isinstance(value, bytes | bytearray):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            raise RequestError("invalid_parameter", f"Field {name[:40]!r} is not UTF-8 text.") from None
    return str(value)


def _bytes(value: object) -> bytes:
    """A body as sent. TorchServe turns ``text/*`` into str and JSON into Python objects before we see it."""
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    if isinstance(value, str):
        return value.encode("utf-8")
    raise RequestError(
        "unsupported_format",
        "The body is JSON; expected the bytes of a JPEG, PNG, TIFF, NIfTI or DICOM file or of a zip, raw or as the "
        "multipart field 'file'.",
    )


def _scans(parts: Mapping[str, Any], content_type: str) -> tuple[dict[str, bytes], list[tuple[str, str]]]:
    """The scan, by part, and the multipart fields beside it. Raises ``empty_body`` or ``no_image``."""
    if content_type in ("multipart/form-data", "application/x-www-form-urlencoded"):
        if not parts:
            raise RequestError("empty_body", "The form is empty; send the scan as the multipart field 'file'.")
        names = [name for name in (FILE_PART, *SEQUENCE_PARTS) if name in parts]
        if not names:
            hint = " curl's -d sends a form: use -T FILE or -F file=@FILE." if "urlencoded" in content_type else ""
            came = ", ".join(repr(name[:40]) for name in list(parts)[:3])
            raise RequestError(
                "no_image", f"The form has {came} but no field 'file'; the scan goes in the field 'file'.{hint}"
            )
        fields = [(name, _text(value, name)) for name, value in parts.items() if name not in names]
        return {name: _bytes(parts[name]) for name in names}, fields
    data = _bytes(parts.get(RAW_PART, b""))
    if not data:
        raise RequestError(
            "empty_body",
            "The request has no body; send the bytes of a JPEG, PNG, TIFF, NIfTI or DICOM file or of a zip.",
        )
    return {FILE_PART: data}, []


def parse_request(parts: Mapping[str, Any], headers: Mapping[str, Any]) -> Request:
    """``parts``: name -> value as TorchServe gives them, ``body`` for a raw one. ``headers``: names in any case; values
    that are not text (TorchServe mixes the types of the parts in) are passed over.

    Raises ``empty_body``, ``no_image``, ``unsupported_format``, ``invalid_parameter`` or ``not_acceptable``."""
    pairs = [(name.lower(), value) for name, value in headers.items() if isinstance(value, str)]
    plain = dict(pairs)
    content_type = plain.get("content-type", "").split(";")[0].strip().lower()
    scans, form = _scans(parts, content_type)
    return Request(scans, parse_fields([*form, *header_fields(pairs)]), negotiate(plain.get("accept")))
