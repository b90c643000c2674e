"""What one part of the proofs says, row by row, and what it needs to say it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Value = float | int | str
# What makes up a server, what is sent to it and what looks at it.
ROOMS = (
    "archive",
    "client",
    "exchange",
    "handler",
    "pacs",
    "prove",
    "rollout",
    "samples",
    "scripts",
    "serving",
    "web",
)


@dataclass(frozen=True)
class Proof:
    """One claim. ``expected``: a value or a bound, ``seen``: what came of it, both in ``unit``. ``command`` shows the
    same again. ``passed`` is None where it could not be tried; then ``seen`` is the reason. ``seconds``: until it was
    seen, from the one before."""

    part: str
    claim: str
    expected: Value
    seen: Value
    unit: str
    seed: int
    command: str
    passed: bool | None
    seconds: float


@dataclass(frozen=True)
class Ground:
    """What a part stands on. ``store``: a model store with one release and its archive, to be served and written to;
    ``folder``: for whatever the part writes; ``effort``: how many of what, as the part's :class:`Part` has it;
    ``tell``: takes a line for who waits; ``plots``: where pictures go that belong into the report. ``kept``: what the
    part's earlier turns came to (:class:`Part`), which it reads and brings up to date; ``ends``: when this turn is to
    stop, as ``time.monotonic`` has it. ``work``: a folder that the next turn finds again; ``only``: the decoders that
    are wanted, none: all."""

    seed: int
    effort: Mapping[str, int]
    store: Path
    folder: Path
    plots: Path
    tell: Callable[[str], None] = lambda _line: None
    kept: dict[str, Any] = field(default_factory=dict)
    ends: float = math.inf
    work: Path = Path()
    only: Sequence[str] = ()

    @property
    def late(self) -> bool:
        """Whether this turn's time is over."""
        return time.monotonic() >= self.ends


@dataclass(frozen=True)
class Part:
    """``whole`` and ``short``: its efforts, by name. ``turns``: which of them it counts up in several turns, if any.
    Such a part has in ``kept`` of its ground how many are ``done``. ``join``: for a part of which two turns may run at
    once, makes one of what both have kept, and its rows. ``served``: whether it serves the ground's store. ``rooms``:
    folders and files whose sources its outcome depends on; a change in another one leaves the record as it is."""

    name: str
    about: str
    run: Callable[[Ground, Claims], None]
    whole: Mapping[str, int]
    short: Mapping[str, int]
    turns: str = ""
    join: Callable[[Mapping[str, Any], Mapping[str, Any], Claims], dict[str, Any]] | None = None
    served: bool = True
    rooms: Sequence[str] = ROOMS


@dataclass
class Claims:
    """Collects the rows of one part."""

    part: str
    seed: int
    command: str
    rows: list[Proof] = field(default_factory=list)
    _since: float = field(default_factory=time.monotonic)

    def equal(self, claim: str, expected: Value, seen: Value, unit: str = "") -> None:
        """``seen`` is to be ``expected``."""
        self._add(claim, expected, seen, unit, seen == expected)

    def one_of(self, claim: str, expected: Sequence[str], seen: str) -> None:
        """``seen`` is to be one of these."""
        self._add(claim, " or ".join(expected), seen, "", seen in expected)

    def at_most(self, claim: str, bound: float, seen: float, unit: str = "") -> None:
        """``seen`` is to be ``bound`` or less; NaN is not."""
        self._add(claim, f"at most {bound:g}", round(seen, 4), unit, seen <= bound)

    def at_least(self, claim: str, bound: float, seen: float, unit: str = "") -> None:
        """``seen`` is to be ``bound`` or more; NaN is not."""
        self._add(claim, f"at least {bound:g}", round(seen, 4), unit, seen >= bound)

    def shown(self, claim: str, seen: Value, unit: str = "") -> None:
        """A figure beside the others, of which nothing is promised."""
        self._add(claim, "measured", seen, unit, True)

    def none(self, claim: str, found: Iterable[str], unit: str = "") -> None:
        """``found`` is to be empty; what there is, three of them, is said."""
        listed = list(found)
        seen = "0" if not listed else f"{len(listed)}: " + "; ".join(listed[:3])
        self._add(claim, "0", seen, unit, not listed)

    def skipped(self, claim: str, why: str) -> None:
        """It could not be tried here."""
        self._add(claim, "", why, "", None)

    def _add(self, claim: str, expected: Value, seen: Value, unit: str, passed: bool | None) -> None:
        now = time.monotonic()
        seconds, self._since = round(now - self._since, 1), now
        self.rows.append(Proof(self.part, claim, expected, seen, unit, self.seed, self.command, passed, seconds))
