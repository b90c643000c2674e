"""The page about drift, from the window that the front door keeps in its state folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path

import numpy as np

from handler.answer import NOTICE
from handler.drift import COVERAGE_PERCENT, FORMAT, TENTHS, VERDICTS
from training.judge import plots
from training.judge.html import page, picture, table

STATE_FILE = "drift.json"
LEAST_SLICES = 100  # as the front door has it
CHANGED, WATCH = 0.25, 0.1


def _ends(ends: Sequence[float]) -> tuple[str, ...]:
    return (*(f"≤ {end:g}" for end in ends), f"> {ends[-1]:g}")


BINS: Mapping[str, tuple[str, ...]] = {
    "coverage_percent": _ends(COVERAGE_PERCENT),
    "max_probability": _ends(TENTHS),
    "score": _ends(TENTHS),
    "verdict": VERDICTS,
}


class StateError(ValueError):
    """No window of this build in the state folder."""


@dataclass(frozen=True)
class Window:
    """Of one version. ``counts``, ``reference``: slices by bin, by quantity; ``reference`` is None where the card has
    none; ``since``: seconds since 1970."""

    version: str
    since: float
    scans: int
    slices: int
    counts: Mapping[str, tuple[int, ...]]
    reference: Mapping[str, tuple[int, ...]] | None

    def index(self, quantity: str) -> float | None:
        """The population stability index; None where too little was seen or nothing is expected."""
        seen, wanted = self.counts[quantity], (self.reference or {}).get(quantity, ())
        if sum(seen) < LEAST_SLICES or not sum(wanted):
            return None
        p, q = ((np.array(row) + 0.5) / (sum(row) + 0.5 * len(row)) for row in (seen, wanted))
        return float(((p - q) * np.log(p / q)).sum())

    def chance(self, quantity: str) -> float | None:
        """What the index is about by chance alone, were both from one distribution: (bins - 1)(1/n + 1/m) (Yurdakul,
        2018). Slices of one head are alike, so more than this is no proof yet."""
        seen, wanted = self.counts[quantity], (self.reference or {}).get(quantity, ())
        if not sum(seen) or not sum(wanted):
            return None
        return (len(seen) - 1) * (1 / sum(seen) + 1 / sum(wanted))

    def lines(self) -> list[str]:
        """A line for the terminal for each quantity."""
        return [f"{self.version} {quantity}: {self.said(quantity)}" for quantity in BINS]

    def said(self, quantity: str) -> str:
        """The index in words."""
        value = self.index(quantity)
        if value is None:
            why = "its card has no reference" if not sum((self.reference or {}).get(quantity, ())) else "too few slices"
            return f"unknown ({why}; {sum(self.counts[quantity])} slices)"
        judged = "changed" if value > CHANGED else "to be watched" if value > WATCH else "as expected"
        return f"{value:.3f}, {judged} ({sum(self.counts[quantity])} slices)"


@dataclass(frozen=True)
class Windows:
    """``gaps``: how often scans were lost, as by a kill."""

    gaps: int
    versions: tuple[Window, ...]


def _window(version: str, blocks: Sequence[Mapping[str, object]], reference: object) -> Window:
    def row(quantity: str) -> tuple[int, ...]:
        return tuple(np.sum([block["counts"][quantity] for block in blocks], axis=0).tolist())  # type: ignore[index]

    wanted = None
    if isinstance(reference, Mapping):
        wanted = {name: tuple(reference[name]) for name in BINS}
    since = float(str(blocks[0]["since"]))
    datetime.fromtimestamp(since, UTC)  # what is no time is found here
    counts = {name: row(name) for name in BINS}
    if any(len(rows[name]) != len(BINS[name]) for rows in (counts, wanted or counts) for name in BINS):
        raise ValueError(f"version {version} has other bins than this build")
    return Window(
        version,
        since,
        sum(int(str(block["scans"])) for block in blocks),
        sum(int(str(block["slices"])) for block in blocks),
        counts,
        wanted,
    )


def read_window(state: Path) -> Windows:
    """What the front door of ``state`` wrote last, which it does every few seconds. Raises :class:`StateError`."""
    path = state / STATE_FILE
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if raw["format"] != FORMAT:
            raise StateError(f"{path} is of another build; start the server again")
        found = [_window(name, one["blocks"], one["reference"]) for name, one in sorted(raw["versions"].items())]
        return Windows(int(raw["gaps"]), tuple(found))
    except FileNotFoundError:
        raise StateError(f"{state} has no {STATE_FILE}: nothing was segmented there yet") from None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise error if isinstance(error, StateError) else StateError(f"{path} cannot be read: {error!r}") from error


def drift_page(windows: Windows) -> str:
    """A whole HTML document with inline pictures."""
    parts = [
        f"<p>{NOTICE}</p><p>The last slices of each version against the validation slices of its card, as population "
        f"stability index: below {WATCH} nothing has changed, above {CHANGED} something has, as a rule of thumb; the "
        "last column is what chance alone gives. Histograms over slices; no scan is kept.</p>"
    ]
    if windows.gaps:
        parts.append(
            f'<p class="leak">Scans are missing: the server was killed, or its file lost, {windows.gaps} times.</p>'
        )
    if not windows.versions:
        parts.append("<p>Nothing was segmented yet.</p>")
    for window in windows.versions:
        since = datetime.fromtimestamp(window.since, UTC).isoformat(timespec="minutes")
        held = f"{window.slices} slices of {window.scans} scans since {since}"
        parts.append(f"<h2>Version {escape(window.version)}</h2><p>{held}</p>")
        rows = [(name, window.said(name), window.chance(name)) for name in BINS]
        parts.append(table(("quantity", "index", "by chance"), rows))
        parts += [_plot(window, name) for name in BINS if sum(window.counts[name])]
    return page("Drift", parts)


def _plot(window: Window, quantity: str) -> str:
    seen, wanted = window.counts[quantity], (window.reference or {}).get(quantity, ())
    rows = {"seen": seen} | ({"card": wanted} if sum(wanted) else {})
    shares = {name: [100 * count / sum(row) for count in row] for name, row in rows.items()}
    canvas = plots.bars_side_by_side(BINS[quantity], shares, quantity, "% of slices")
    return picture(plots.inline(canvas), f"{quantity}, version {window.version}")
