"""What a table has of the parts of a tumour, for the report: each label and region, how many scans have it and how much
of it they have."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bulk.spread import BLUE, Spread, bars, table
from handler.labels import Label

LABELS, REGIONS = "labels", "regions"


@dataclass
class Part:
    """``scans``: that have any of it, of ``measured``. ``volumes``: ml; ``coverage``: percent of a picture."""

    measured: int = 0
    scans: int = 0
    millilitres: float = 0.0
    volumes: Spread = field(default_factory=Spread)
    coverage: Spread = field(default_factory=Spread)

    def add(self, found: Mapping[str, Any], total_pixels: int) -> None:
        self.measured += 1
        self.scans += found["pixels"] > 0
        if found["volume_ml"] is None:
            self.coverage.add(100.0 * found["pixels"] / total_pixels)
        else:
            self.volumes.add(found["volume_ml"])
            self.millilitres += found["volume_ml"]


@dataclass
class Parts:
    """By kind and name, in the order of the model's card."""

    found: dict[tuple[str, str], Part] = field(default_factory=dict)

    def add(self, row: Mapping[str, Any]) -> None:
        """``row``: of the table; one without labels adds nothing."""
        for kind in (LABELS, REGIONS):
            for one in row[kind] or ():
                self.found.setdefault((kind, one["name"]), Part()).add(one, row["total_pixels"])

    def of(self, kind: str) -> Iterator[tuple[str, Part]]:
        for (of_kind, name), part in self.found.items():
            if of_kind == kind:
                yield name, part


def section(parts: Parts, labels: Sequence[Label]) -> str:
    """As HTML, labels in their colours; empty where nothing has any."""
    colours = {label.name: "#{:02x}{:02x}{:02x}".format(*label.colour) for label in labels}
    told = []
    for kind, head in ((LABELS, "label"), (REGIONS, "region")):
        rows = [(name, f"{one.scans} of {one.measured}", f"{one.millilitres:.1f}") for name, one in parts.of(kind)]
        if rows:
            told.append(table((head, "scans that have it", "ml in all volumes"), rows))
        for name, one in parts.of(kind):
            told.append(_one(f"{head} {name}", one, colours.get(name) if kind == LABELS else None))
    return f"<h2>Parts of the tumour</h2>{''.join(told)}" if told else ""


def _one(name: str, part: Part, colour: str | None) -> str:
    swatch = f'<span class="swatch" style="background:{colour}"></span>' if colour else ""
    text = [f"<h3>{swatch}{html.escape(name)}</h3>"]
    for spread, unit, what in ((part.volumes, "ml", "of volumes, ml"), (part.coverage, "%", "of pictures, %")):
        if spread.bins:
            text.append(f"<p>{what}</p>{bars(spread, unit, colour or BLUE)}")
    return "".join(text) if len(text) > 1 else f"{text[0]}<p>None.</p>"
