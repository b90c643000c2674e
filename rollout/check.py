"""The outcome of one check of the gate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Check:
    """``breach``: what limit was broken and by how much, empty when none was; ``said``: the figures in words;
    ``figures``: the same for the history."""

    name: str
    said: str
    breach: str = ""
    figures: Mapping[str, float | None] = field(default_factory=dict)


def above(what: str, value: float, limit: float, unit: str = "") -> str:
    """The words for a value above its limit; empty when it is not."""
    return "" if value <= limit else f"{what} {value:.4g}{unit} is above {limit:.4g}{unit}"


def joined(*breaches: str) -> str:
    """Those that are not empty, in one line."""
    return "; ".join(breach for breach in breaches if breach)
