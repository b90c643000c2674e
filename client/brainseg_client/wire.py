"""What the client sends and hears, as HTTP has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import requests

from brainseg_client.errors import BrainSegError, ScanError, error_of

DEFAULT_URL = "http://127.0.0.1:8000"


def refusal(reply: requests.Response) -> BrainSegError:
    """The exception for an answer that is one."""
    request_id = reply.headers.get("X-Request-Id", "")
    after = reply.headers.get("Retry-After", "")
    try:
        body = reply.json()
        code, detail = str(body["code"]), str(body["detail"])
    except (ValueError, KeyError, TypeError):
        code, detail = "internal_error", f"status {reply.status_code} without a problem's JSON: is this a front door?"
    return error_of(code, detail, reply.status_code, request_id, float(after) if after.isdigit() else None)


def address(url: str) -> str:
    """``url`` without a slash at its end. Raises ``ValueError``, which never shows a password, unless it is one."""
    try:
        split = urlsplit(url)
        usable = split.scheme in ("http", "https") and bool(split.hostname) and split.port != 0
    except ValueError:  # of the port, or of brackets
        usable = False
    if not usable:
        raise ValueError(f"got the address {url.rpartition('@')[2]!r}, expected one such as {DEFAULT_URL}")
    return url.rstrip("/")


def without_login(url: str) -> str:
    """``url`` as it may be shown."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def sendable(name: str, value: str) -> str:
    """``value`` as a header can carry it. Raises :class:`ScanError`."""
    if not value.isascii() or not value.isprintable():
        raise ScanError("invalid_parameter", f"{name}: got {value!r}, expected printable ASCII")
    return value


def multipart(parts: Mapping[str, bytes], fields: Mapping[str, str]) -> tuple[bytes, str]:
    """The body and its Content-Type. Files are called as their parts: a path may be a patient's name."""
    if not parts:
        raise ValueError("got no sequences, expected at least 'flair'")
    files = {name: (name, data, "application/octet-stream") for name, data in parts.items()}
    prepared = requests.Request("POST", DEFAULT_URL, data=fields, files=files).prepare()
    body = prepared.body or b""
    return body if isinstance(body, bytes) else body.encode(), str(prepared.headers["Content-Type"])


def text(value: float | Sequence[float] | Sequence[str] | str | int) -> str:
    """A setting as a field has it."""
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence):
        return ",".join(str(item) for item in value) or "none"
    return str(value)


def fields_of(settings: Mapping[str, Any]) -> dict[str, str]:
    """Those that are given, as fields; what is None is the server's to choose."""
    return {name: text(value) for name, value in settings.items() if value is not None}
