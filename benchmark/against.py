"""What two builds measured side by side: table, JSON and plots of how cost grows."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.compare import Comparison, Effort, Figures
from handler.files import write_atomic

THEN, NOW = "then", "now"
AXES = {
    "slices": "slices (measurements alone), s",
    "pixels": "pixels of one picture (mask and overlay), s",
    "clients": "clients at the front door (one slice each), p50, s",
}


@dataclass(frozen=True)
class Row:
    """``least`` and ``aim``: of ``ratio`` (how many times better, > 1 is better) or, where ``of_now``, of ``now``."""

    name: str
    then: float | None
    now: float | None
    ratio: float | None
    unit: str
    least: float | None
    aim: float | None
    of_now: bool = False

    @property
    def reached(self) -> str:
        value = self.now if self.of_now else self.ratio
        if value is None or self.least is None or self.aim is None:
            return ""
        sign = -1 if self.least > self.aim else 1  # milliseconds and megabytes: the fewer the better
        if sign * value >= sign * self.aim:
            return "aim"
        return "yes" if sign * value >= sign * self.least else "no"


@dataclass(frozen=True)
class Line:
    """The straight line through one build's growth: seconds = ``offset`` + ``each`` times the size. ``strays``: the
    largest deviation of a measured point from it, as a share of the point."""

    what: str
    build: str
    offset: float
    each: float
    strays: float


def _row(then: Figures, now: Figures, key: str, name: str, least: float | None, aim: float | None) -> Row:
    """Seconds are shown in ms and better when smaller; requests a second (``loaded``) better when larger."""
    a, b = then.median(key), now.median(key)
    ratio = None if not a or not b else (b / a if key == "loaded" else a / b)
    scale, unit = {"loaded": (1.0, "1/s"), "memory": (1.0, "MB")}.get(key, (1000.0, "ms"))
    shown = [None if value is None else scale * value for value in (a, b)]
    return Row(name, shown[0], shown[1], ratio, unit, least, aim)


def rows(found: Comparison, effort: Effort) -> list[Row]:
    """The table of the issue of speed, line by line."""
    then, now = found.figures[THEN], found.figures[NOW]
    made = [
        _row(then, now, "slice", "one client, p50", 2, 3),
        _row(then, now, "door", "the same through the front door", None, None),
        _row(then, now, "loaded", "requests a second, 4 clients", 2.5, 4),
        _row(then, now, "pages", f"stack of {effort.pages} pages with mask and overlay", 3, 5),
        _row(then, now, "forward", "forward pass of a whole slice", 2.5, 5),
    ]
    for key, name, least, aim in (
        ("outside", "outside the forward pass", 9.0, 5.0),
        ("pictures", "of these for mask and overlay", None, None),
        ("memory", "resident memory of a worker", 500.0, 350.0),
    ):
        one = _row(then, now, key, name, least, aim)
        made.append(Row(**{**asdict(one), "of_now": True}))
    made += [
        _row(then, now, "first", f"version {effort.first}, one client, p50", 1.5, 2),
        _row(then, now, "large", f"a picture of {effort.side} x {effort.side}", 3, 5),
        _row(then, now, "long", f"{effort.long} slices, measurements alone", 3, 5),
    ]
    for key, name in (("slice", "Flask peer, one client"), ("loaded", "Flask peer, 4 clients")):
        peer = found.flask.median(key)
        if peer:
            ours = (then.median(key) or peer, now.median(key) or peer)
            times = [one / peer if key == "loaded" else peer / one for one in ours]
            ratio = times[1] / times[0]
            made.append(Row(f"times as fast as the {name}", times[0], times[1], ratio, "x", 35, 60, of_now=True))
    return made


def lines(found: Comparison) -> list[Line]:
    """Least squares through the medians, each point weighed by its size: a share, not seconds, is what strays."""
    made = []
    for what in AXES:
        for label, figures in found.figures.items():
            points = {size: statistics.median(values) for size, values in figures.growth[what].items()}
            if len(points) < 2:
                continue
            sizes, seconds = np.array(list(points), float), np.array(list(points.values()))
            each, offset = np.polyfit(sizes, seconds, 1, w=1 / seconds)
            strays = float((np.abs(offset + each * sizes - seconds) / seconds).max())
            made.append(Line(what, label, float(offset), float(each), strays))
    return made


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    return f"{value:.1f} {unit}" if value < 100 else f"{value:.0f} {unit}"


def markdown(machine: Mapping[str, Any], builds: Mapping[str, str], table: list[Row], grown: list[Line]) -> str:
    """Both tables, and what they were measured on."""
    said = ["# Against an earlier build", ", ".join(f"{name} {value}" for name, value in machine.items())]
    said.append(". ".join(f"{label}: {what}" for label, what in builds.items()) + ". Medians of one run, in turns.")
    text = ["| | then | now | ratio | at least | aim | reached |", "|---|---|---|---|---|---|---|"]
    for row in table:
        want = ["" if v is None else f"{v:g} {row.unit}" if row.of_now else f"{v:g}x" for v in (row.least, row.aim)]
        cells = [row.name, _number(row.then, row.unit), _number(row.now, row.unit)]
        cells += ["" if row.ratio is None else f"{row.ratio:.1f}x", *want, row.reached]
        text.append(f"| {' | '.join(cells)} |")
    growth = ["| how cost grows with | build | ms to begin with | ms for each | furthest from the line |"]
    growth += ["|---|---|---|---|---|"]
    for line in grown:
        each, unit = (1e9 * line.each, " a megapixel") if line.what == "pixels" else (1e3 * line.each, "")
        growth.append(
            f"| {line.what} | {line.build} | {1e3 * line.offset:.0f} | {each:.1f}{unit} | {100 * line.strays:.0f} % |"
        )
    return "\n\n".join([*said, "\n".join(text), "\n".join(growth)]) + "\n"


def plot(found: Comparison, grown: list[Line], path: Path) -> None:
    """Time against slices, pixels and clients, both builds with their straight lines, as PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(AXES), figsize=(15, 4))
    for axis, (what, label) in zip(axes, AXES.items(), strict=True):
        for colour, (build, figures) in zip(("tab:grey", "tab:blue"), found.figures.items(), strict=True):
            points = {size: statistics.median(values) for size, values in figures.growth[what].items()}
            axis.plot(list(points), list(points.values()), "o", color=colour, label=build)
            for line in grown:
                if (line.what, line.build) == (what, build):
                    ends = np.array([min(points), max(points)], float)
                    axis.plot(ends, line.offset + line.each * ends, "-", color=colour, linewidth=1)
        axis.set(xlabel=label.rpartition(", ")[0], ylabel="s", ylim=(0, None))
        axis.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    plt.close(figure)


def write(found: Comparison, effort: Effort, machine: Mapping[str, Any], folder: Path) -> str:
    """``against.json``, ``.md`` and ``.png`` in ``folder``; the Markdown."""
    folder.mkdir(parents=True, exist_ok=True)
    builds = {}
    for one in found.builds:
        failed = sorted(set(found.figures[one.label].failed))
        builds[one.label] = f"commit {one.commit}, version {one.default}"
        builds[one.label] += ", gate off for phantoms" if one.headers else ""
        builds[one.label] += f", not answered: {'; '.join(failed)}" if failed else ""
    table, grown = rows(found, effort), lines(found)
    body = {
        "machine": machine,
        "builds": builds,
        "effort": asdict(effort),
        "rows": [{**asdict(row), "reached": row.reached} for row in table],
        "lines": [asdict(line) for line in grown],
        "values": {label: figures.values for label, figures in found.figures.items()},
        "growth": {label: figures.growth for label, figures in found.figures.items()},
        "flask": found.flask.values,
    }
    text = markdown(machine, builds, table, grown)
    write_atomic(folder / "against.json", (json.dumps(body, indent=1) + "\n").encode())
    write_atomic(folder / "against.md", text.encode())
    plot(found, grown, folder / "against.png")
    return text
