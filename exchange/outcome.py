"""What the front door writes down of a request while a version is on trial, a line of JSON each: numbers, and where two
versions disagree the digest of the input. No scan, no name, no client."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import TypeVar


@dataclass(frozen=True)
class Outcome:
    """Of a request that named no version, during a canary. ``candidate``: which of the two answered; ``fault``: it
    failed by a fault of ours; ``seconds``: in the handler; ``tumor``: its verdict; ``refused``: the gate did not assess
    it; ``coverage``: 0..1, the mean place of its slices among the bins of coverage (:mod:`handler.drift`). None: not
    known."""

    candidate: bool
    fault: bool
    seconds: float | None = None
    tumor: bool | None = None
    refused: bool | None = None
    coverage: float | None = None


@dataclass(frozen=True)
class Compared:
    """Of a copy that a shadow answered. ``dice``: of the two masks, 0..1, None where neither has tumour (or either was
    not assessed); ``flip``: the verdicts differ; ``area``: tumour pixels of the candidate less those of the live
    version, in percent of all pixels; ``failed``: the candidate failed where the live version answered; ``sha256``: of
    the input, where the two disagree."""

    dice: float | None
    flip: bool
    area: float
    failed: bool = False
    sha256: str = ""


T = TypeVar("T", Outcome, Compared)


def line_of(one: Outcome | Compared) -> bytes:
    """With its end."""
    return (json.dumps(asdict(one), separators=(",", ":")) + "\n").encode()


def _number(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool | int | float):
        return float(value)
    raise ValueError("a number is expected")


_READ: dict[str, Callable[[object], object]] = {
    "bool": bool,
    "float": lambda value: _number(value) or 0.0,
    "float | None": _number,
    "bool | None": lambda value: None if value is None else bool(value),
    "str": str,
}


def parse_line(kind: type[T], line: bytes) -> T | None:
    """What :func:`line_of` wrote; None for a line that was cut short."""
    try:
        raw = json.loads(line)
        return kind(**{field.name: _READ[str(field.type)](raw[field.name]) for field in fields(kind)})  # type: ignore[arg-type]
    except (ValueError, KeyError, TypeError):
        return None
