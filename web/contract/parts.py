"""What the operations of the document are put together from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from web.contract import examples
from web.contract.fields import HTTP_PROBLEMS, PROBLEM_KIND, PROBLEMS
from web.contract.schemas import TEXT, reference

# What any request may meet, and what one that needs a key may meet besides.
ANY = ("bad_request", "request_timeout", "internal_error")
GUARDED = ("unauthorized", *ANY, "queue_full")
_EXPLAIN_ONLY = ("nothing_to_explain", "explain_unavailable")
SEGMENT_CODES = (*(code for code in PROBLEMS if code not in _EXPLAIN_ONLY), "bad_request", "request_timeout")
EXPLAIN_CODES = (*SEGMENT_CODES, *_EXPLAIN_ONLY)
JSON = "application/json"
RAW = "application/octet-stream"
ID = {"X-Request-Id": reference("RequestId", "headers")}
STICKY: dict[str, Any] = {
    "name": "X-Request-Key",
    "in": "header",
    "description": "Requests with the same one, such as a study's, are answered by the same version while another one "
    "is tried out beside the live one.",
    "schema": TEXT,
}


def problems(codes: Sequence[str]) -> dict[str, Any]:
    """An answer for each status among ``codes``."""
    known = PROBLEMS | HTTP_PROBLEMS
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(known[code][0], []).append(code)
    return {str(status): _problem(status, found) for status, found in sorted(by_status.items())}


def _problem(status: int, codes: Sequence[str]) -> dict[str, Any]:
    known = PROBLEMS | HTTP_PROBLEMS
    later = {"Retry-After": reference("RetryAfter", "headers")} if status in (409, 429, 503) else {}
    return {
        "description": "; ".join(f"`{code}`: {known[code][1]}" for code in codes),
        "headers": ID | later,
        "content": {PROBLEM_KIND: {"schema": reference("Problem"), "examples": examples.problems(codes)}},
    }


def answered(name: str, about: str, example: object) -> dict[str, Any]:
    """An answer in JSON, of the schema ``name``."""
    return {
        "description": about,
        "headers": ID,
        "content": {JSON: {"schema": reference(name), "examples": {"typical": {"value": example}}}},
    }


def operation(
    identifier: str, tag: str, summary: str, responses: dict[str, Any], about: str, free: bool = False, **more: Any
) -> dict[str, Any]:
    """``free``: no key is needed."""
    found = {"operationId": identifier, "tags": [tag], "summary": summary, "description": about, **more}
    return found | ({"security": []} if free else {}) | {"responses": responses}
