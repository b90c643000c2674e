"""Distributions and tables as the report shows them."""

from __future__ import annotations

import html
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

BINS_A_TENFOLD = 4
BLUE = "#0969da"


@dataclass
class Spread:
    """Values in bins of equal ratio, four a tenfold; those that are not above 0 apart."""

    bins: Counter[int] = field(default_factory=Counter)
    zeros: int = 0

    def add(self, value: float | None) -> None:
        if value is None:
            return
        if value > 0:
            self.bins[math.floor(BINS_A_TENFOLD * math.log10(value))] += 1
        else:
            self.zeros += 1


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """As HTML; numbers from the second column on."""

    def cell(kind: str, number: int, value: object) -> str:
        numeric = ' class="n"' if number else ""
        return f"<{kind}{numeric}>{html.escape(str(value))}</{kind}>"

    lines = ["".join(cell("th", number, name) for number, name in enumerate(head))]
    lines += ["".join(cell("td", number, value) for number, value in enumerate(row)) for row in rows]
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>" if len(lines) > 1 else "<p>None.</p>"


def bars(spread: Spread, unit: str, colour: str = BLUE) -> str:
    """A histogram as SVG; each bin named by where it begins."""
    if not spread.bins:
        return "<p>None.</p>"
    low, high = min(spread.bins), max(spread.bins)
    most, width, height = max(spread.bins.values()), 28, 120
    parts = []
    for place, number in enumerate(range(low, high + 1)):
        count = spread.bins[number]
        tall = round(height * count / most) if count else 0
        x, begin = place * width, 10 ** (number / BINS_A_TENFOLD)
        parts.append(
            f'<rect x="{x + 2}" y="{height - tall + 14}" width="{width - 4}" height="{tall}" fill="{colour}"/>'
        )
        if count:
            parts.append(f'<text x="{x + 4}" y="{height - tall + 11}">{count}</text>')
        parts.append(
            f'<text x="{x + 4}" y="{height + 24}" transform="rotate(60 {x + 4} {height + 24})">{begin:.3g}</text>'
        )
    size = f'width="{(high - low + 1) * width + 40}" height="{height + 70}"'
    zeros = f"<p>{spread.zeros} with 0 {html.escape(unit)}.</p>" if spread.zeros else ""
    return f'<svg {size} role="img" aria-label="histogram, {html.escape(unit)}">{"".join(parts)}</svg>{zeros}'
