"""What a data set holds: pairs, broken files, balance, lesion areas, per institution."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from training.data.cases import DataError, Listing
from training.data.slices import load_slice
from training.judge import plots
from training.judge.html import page, picture, table


@dataclass(frozen=True)
class SliceFacts:
    """One readable pair: `area_percent` is tumour in per cent of the slice's pixels; size in pixels."""

    case: str
    number: int
    institution: str
    width: int
    height: int
    dtype: str
    area_percent: float


@dataclass(frozen=True)
class Inspection:
    """The facts of all readable pairs, and what is wrong: pairs that cannot be read and files without partner."""

    slices: tuple[SliceFacts, ...]
    broken: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def areas(self) -> list[float]:
        """Tumour area of each tumour slice, per cent of the slice."""
        return [facts.area_percent for facts in self.slices if facts.area_percent > 0]


def inspect(listing: Listing, advance: Callable[[], None] = lambda: None) -> Inspection:
    """Reads every pair once; `advance` is called after each. A pair that cannot be read is named, not fatal."""
    facts, broken = [], []
    for pair in listing.pairs:
        try:
            item = load_slice(pair)
        except DataError as error:
            broken.append(str(error))
        else:
            scan = item.scan
            facts.append(
                SliceFacts(
                    pair.case, pair.number, pair.institution, scan.width, scan.height, scan.pixels.dtype.name,
                    item.tumour_percent,
                )
            )  # fmt: skip
        advance()
    missing = tuple(f"{path.relative_to(listing.root)} has no partner" for path in listing.lonely)
    return Inspection(tuple(facts), tuple(broken), missing)


def summary(inspection: Inspection) -> dict[str, Any]:
    """The findings as a JSON object; areas in per cent of the slice, over tumour slices, None without any."""
    institutions = sorted({facts.institution for facts in inspection.slices})
    return {
        **_counts(inspection.slices),
        "sizes": sorted({f"{facts.width}x{facts.height} {facts.dtype}" for facts in inspection.slices}),
        "broken": list(inspection.broken),
        "missing": list(inspection.missing),
        "institutions": {
            name: _counts([facts for facts in inspection.slices if facts.institution == name]) for name in institutions
        },
        "slices": [asdict(facts) for facts in inspection.slices],
    }


def _counts(slices: Sequence[SliceFacts]) -> dict[str, Any]:
    areas = [facts.area_percent for facts in slices if facts.area_percent > 0]
    return {
        "cases": len({facts.case for facts in slices}),
        "pairs": len(slices),
        "with_tumour": len(areas),
        "without_tumour": len(slices) - len(areas),
        "area_percent_mean": sum(areas) / len(areas) if areas else None,
        "area_percent_least": min(areas, default=None),
        "area_percent_most": max(areas, default=None),
    }


def inspection_page(inspection: Inspection) -> str:
    """One self-contained HTML page of tables and plots; no slice is shown."""
    found = summary(inspection)
    institutions: dict[str, dict[str, Any]] = found["institutions"]
    columns = tuple(next(iter(institutions.values()), {}))
    rows = [("all", *(found[name] for name in columns))]
    rows += [(name, *counts.values()) for name, counts in institutions.items()]
    wrong = [*inspection.broken, *inspection.missing]
    balance = plots.stacked_bars(
        list(institutions),
        [counts["with_tumour"] for counts in institutions.values()],
        [counts["without_tumour"] for counts in institutions.values()],
        ("with tumour", "without"),
    )
    cases = sorted({facts.case for facts in inspection.slices})
    per_case = [sum(facts.case == case for facts in inspection.slices) for case in cases]
    parts = [
        table(("institution", *(name.replace("_", " ") for name in columns)), rows),
        f"<h2>Problems</h2>{table(('broken or missing',), [(line,) for line in wrong]) if wrong else '<p>none</p>'}",
        "<h2>Plots</h2>",
        picture(plots.inline(balance), "Slices per institution"),
        picture(
            plots.inline(plots.histogram(inspection.areas, "tumour area, % of the slice")), "Area of tumour slices"
        ),
        picture(plots.inline(plots.histogram(per_case, "slices in a case", "cases")), "Slices per case"),
    ]
    return page("Data set", parts)
