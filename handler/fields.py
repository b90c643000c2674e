"""The fields of a request: one table of names and parsers for multipart fields, headers and query parameters."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from handler.errors import RequestError
from handler.intensity import usable

OUTPUTS = ("scan", "mask", "overlay", "heatmap", "panel", "probability", "label_probabilities")
DEFAULT_OUTPUTS = ("mask", "overlay")  # of a scan without geometry; a volume has none by default
REGISTRATIONS = ("none", "rigid")
SEG_KINDS = ("binary", "labelmap")
GATES = SWITCH = ("on", "off")
TTA = ("none", "flip")
HEADER_PREFIX = "x-brainseg-"
LONGEST_VALUE = 200
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
_SPAN = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?")


@dataclass(frozen=True)
class Fields:
    """What the client asked for; None where the default (the model card's, the file's) applies.

    ``slices``: first and last index, both inclusive, counted from 0. ``series``: which series of an upload with several
    is the FLAIR, counted from 1 as ``several_series`` lists them. ``register``: whether T1 and T1 with contrast are
    moved to where they agree with the FLAIR. ``seg``: one of :data:`SEG_KINDS`. ``gate``: one of :data:`GATES`, ``off``
    for a mask of what the model does not know. ``tta``: one of :data:`TTA`, whether each slice is looked at in the
    mirror too.
    ``passport``: whether the answer carries a record of how it was made."""

    threshold: float | None = None
    min_lesion_pixels: int | None = None
    outputs: tuple[str, ...] | None = None
    slices: tuple[int, int] | None = None
    intensity_range: tuple[float, float] | None = None
    series: int | None = None
    register: bool = False
    seg: str | None = None
    gate: str = "on"
    tta: str = "none"
    passport: bool = False


def _number(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise ValueError("expected a decimal number")
    return float(text)


def _threshold(text: str) -> float:
    value = _number(text)
    if not 0 < value < 1:
        raise ValueError("expected a number above 0 and below 1")
    return value


def _count(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text):
        raise ValueError("expected a whole number, 0 to 999999999")
    return int(text)


def _outputs(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if names == ("none",):
        return ()
    if len(set(names)) < len(names) or not set(names) <= set(OUTPUTS):
        raise ValueError(f"expected none, or some of {','.join(OUTPUTS)}, each once")
    return names


def _slices(text: str) -> tuple[int, int] | None:
    if text == "all":
        return None
    match = _SPAN.fullmatch(text)
    if not match:
        raise ValueError("expected all, one index such as 7, or a span such as 0-19, counted from 0")
    first, last = int(match[1]), int(match[2] or match[1])
    if first > last:
        raise ValueError("expected a span whose first index is not above its last")
    return first, last


def _intensity_range(text: str) -> tuple[float, float]:
    parts = text.split(",")
    if len(parts) != 2:
        raise ValueError("expected two numbers, lo,hi")
    low, high = _number(parts[0].strip()), _number(parts[1].strip())
    if not usable(low, high):
        raise ValueError("expected lo below hi, both smaller than 1e30")
    return low, high


def _series(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,3}", text):
        raise ValueError("expected the number of a series, counted from 1")
    return int(text)


def _register(text: str) -> bool:
    if text not in REGISTRATIONS:
        raise ValueError(f"expected one of {', '.join(REGISTRATIONS)}")
    return text == "rigid"


def _seg(text: str) -> str:
    if text not in SEG_KINDS:
        raise ValueError(f"expected one of {', '.join(SEG_KINDS)}")
    return text


def _gate(text: str) -> str:
    if text not in GATES:
        raise ValueError(f"expected one of {', '.join(GATES)}")
    return text


def _tta(text: str) -> str:
    if text not in TTA:
        raise ValueError(f"expected one of {', '.join(TTA)}")
    return text


def _passport(text: str) -> bool:
    if text not in SWITCH:
        raise ValueError(f"expected one of {', '.join(SWITCH)}")
    return text == "on"


PARSERS: dict[str, Callable[[str], Any]] = {
    "threshold": _threshold,
    "min_lesion_pixels": _count,
    "outputs": _outputs,
    "slices": _slices,
    "intensity_range": _intensity_range,
    "series": _series,
    "register": _register,
    "seg": _seg,
    "gate": _gate,
    "tta": _tta,
    "passport": _passport,
}


def header_fields(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The fields among ``headers``: ``X-BrainSeg-Min-Lesion-Pixels``, in any case, is ``min_lesion_pixels``."""
    return [
        (name.lower().removeprefix(HEADER_PREFIX).replace("-", "_"), value)
        for name, value in headers
        if name.lower().startswith(HEADER_PREFIX)
    ]


def parse_fields(pairs: Iterable[tuple[str, str]]) -> Fields:
    """Raises ``invalid_parameter`` for a field that is unknown, given twice, or whose value is out of range."""
    values: dict[str, Any] = {}
    for name, text in pairs:
        if name not in PARSERS:
            hint = " The version goes in the path: /predictions/MODEL/VERSION." if name == "version" else ""
            raise RequestError(
                "invalid_parameter", f"Unknown field {name[:40]!r}; expected one of {', '.join(PARSERS)}.{hint}"
            )
        if name in values:
            raise RequestError("invalid_parameter", f"Field {name} is given twice; give it once.")
        try:
            if len(text) > LONGEST_VALUE:
                raise ValueError(f"expected at most {LONGEST_VALUE} characters")
            values[name] = PARSERS[name](text.strip())
        except ValueError as error:
            raise RequestError("invalid_parameter", f"Field {name} is {text[:40]!r}: {error}.") from None
    return Fields(**values)
