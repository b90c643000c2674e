"""What an explanation is asked for: the fields of its own, beside those that say how the scan is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from handler.errors import RequestError
from handler.fields import LONGEST_VALUE, header_fields
from handler.request import FILE_PART, RAW_PART, SEQUENCE_PARTS, Request, parse_request

METHODS = ("gradcam", "occlusion")
QUESTIONS = ("verdict", "area")
LIMIT_SECONDS, MOST_SECONDS = 30.0, 300
# Of a segmentation's fields those that change what the network sees or which pixels are tumour.
SHARED = ("threshold", "intensity_range", "series", "register", "gate")
JSON = "application/json"


@dataclass(frozen=True)
class Asked:
    """``method``: of :data:`METHODS`; ``question``: of :data:`QUESTIONS`. ``slice``: counted from 0, None where it was
    not said. ``window``: side of what occlusion covers at a time, in pixels of the network's grid, None for the
    default. ``seconds``: the longest that it may take."""

    method: str = "gradcam"
    question: str = "verdict"
    slice: int | None = None
    window: int | None = None
    seconds: float = LIMIT_SECONDS


def _one_of(*known: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in known:
            raise ValueError(f"expected one of {', '.join(known)}")
        return text

    return read


def _whole(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,6}", text) or not low <= int(text) <= high:
            raise ValueError(f"expected a whole number, {low} to {high}")
        return int(text)

    return read


PARSERS: dict[str, Callable[[str], Any]] = {
    "method": _one_of(*METHODS),
    "question": _one_of(*QUESTIONS),
    "slice": _whole(0, 999_999),
    "window": _whole(8, 512),
    "seconds": _whole(1, MOST_SECONDS),
}
FIELDS = (*PARSERS, *SHARED)
SCANS = (FILE_PART, *SEQUENCE_PARTS)


def _value(name: str, sent: object) -> Any:
    text = bytes(sent).decode("utf-8", "replace") if isinstance(sent, bytes | bytearray) else str(sent)
    try:
        if len(text) > LONGEST_VALUE:
            raise ValueError(f"expected at most {LONGEST_VALUE} characters")
        return PARSERS[name](text.strip())
    except ValueError as error:
        raise RequestError("invalid_parameter", f"Field {name} is {text[:40]!r}: {error}.") from None


def _field(header: str) -> str:
    """The field that a header of this name gives; empty for any other header."""
    return next((field for field, _ in header_fields([(header, "")])), "")


def read_asked(parts: Mapping[str, Any], headers: Mapping[str, Any]) -> tuple[Request, Asked]:
    """The scan with the fields that say how it is read, and what is asked about it. Arguments as in
    :func:`handler.request.parse_request`, whose refusals it raises; ``invalid_parameter`` also for fields of a
    segmentation that say nothing here, ``not_acceptable`` where the client takes no JSON."""
    form = {} if RAW_PART in parts else {name: sent for name, sent in parts.items() if name not in SCANS}
    sent = [*form.items(), *((field, value) for name, value in headers.items() if (field := _field(name)))]
    for name, _ in sent:
        if name not in FIELDS:
            raise RequestError(
                "invalid_parameter",
                f"Field {name[:40]!r} says nothing about an explanation; expected one of {', '.join(FIELDS)}.",
            )
    own = [(name, value) for name, value in sent if name in PARSERS]
    names = [name for name, _ in own]
    if doubled := [name for name in PARSERS if names.count(name) > 1]:
        raise RequestError("invalid_parameter", f"Field {doubled[0]} is given twice; give it once.")
    request = parse_request(
        {name: value for name, value in parts.items() if name not in form or name not in PARSERS},
        {name: value for name, value in headers.items() if _field(name) not in PARSERS},
    )
    if JSON not in request.accept:
        raise RequestError("not_acceptable", f"An explanation is {JSON}; accept that.")
    asked = Asked(**{name: _value(name, value) for name, value in own})
    if asked.window is not None and asked.method != "occlusion":
        raise RequestError("invalid_parameter", "Field window is for method=occlusion; leave it out.")
    return request, asked
