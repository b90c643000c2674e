"""The page of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from training.fit.rows import read_rows
from training.judge import plots
from training.judge.evaluation import Report, per_case
from training.judge.figures import Figure
from training.judge.html import page, picture, table

LEAK = (
    "This split is by slice: neighbours of a judged slice were trained on. The figures leak; they measure memory and "
    "must not be quoted as quality."
)


def report_page(report: Report, log: Path | None = None, gallery: Sequence[str] = ()) -> str:
    """The page of an evaluation; training curves from `log` (Lightning's metrics.csv) if given, and the parts of
    `gallery` (see `training.judge.gallery`) at its end."""
    scores = report.scores
    parts = [f"<p>{escape(report.model)} on the {escape(report.side)} side, {escape(_settings(report))}</p>"]
    if any(report.origin.values()):
        parts.append(f"<p>{escape(origin_line(report.origin))}</p>")
    if report.leaks:
        parts.append(f'<p class="leak">{LEAK}</p>')
    if report.trained_on:
        parts.append(f"<p>{trained_on(report)}</p>")
    parts += ["<h2>Figures</h2>", _figures_table(report.figures), "<h2>Plots</h2>"]
    rows = read_log(log) if log is not None else []
    if rows:
        parts.append(picture(plots.inline(plots.training_curves(rows)), "Training"))
    cases = per_case(scores)
    for canvas, caption in (
        (plots.precision_recall(scores), "Precision and recall of pixels"),
        (plots.roc(scores), "Slice has tumour"),
        (plots.case_bars(cases), "Dice of each case"),
        (plots.reliability_diagram(np.sum([s.reliability for s in scores], axis=0)), "Reliability of unsure pixels"),
        (plots.dice_by_size(scores), "Dice against lesion size"),
    ):
        parts.append(picture(plots.inline(canvas), caption))
    parts += ["<h2>Cases</h2>", table(("case", "slices", "with tumour", "Dice"), [list(row.values()) for row in cases])]
    return page(f"Evaluation of {report.model}", [*parts, *gallery])


def origin_line(origin: Mapping[str, Any]) -> str:
    """Which training it is, in a line; see `training.judge.evaluation.origin_of`."""
    data = origin.get("data") or {}
    told = [("run", origin.get("run")), ("recipe", origin.get("recipe")), ("released", origin.get("created"))]
    told += [("weights", str(origin.get("weights") or "")[:19]), ("trained on cases", data.get("cases"))]
    told.append(("of", data.get("set")))
    return ", ".join(f"{name} {value}" for name, value in told if value) or "nothing tells which training this is of"


def trained_on(report: Report) -> str:
    """How many of the judged cases the weights were trained on, as a sentence."""
    cases = len({score.case for score in report.scores})
    return f"The weights were trained on {report.trained_on} of these {cases} cases; there they have the answers."


def _settings(report: Report) -> str:
    if report.threshold is None:
        return "threshold and smallest lesion as the server has them"
    return f"threshold {report.threshold}, smallest lesion {report.min_lesion_pixels} pixels"


def _figures_table(figures: Sequence[Figure]) -> str:
    rows = [(f.name, f.value, _interval(f), f.slices, f.cases, f.policy) for f in figures]
    return table(("figure", "value", "95 % interval over cases", "slices", "cases", "policy"), rows)


def _interval(figure: Figure) -> str | None:
    if figure.low is None or figure.high is None:
        return None
    return f"{figure.low:.3f} to {figure.high:.3f}"


def read_log(path: Path) -> list[dict[str, float]]:
    """The rows of a run's log as numbers; empty cells are left out, rows without an epoch dropped."""
    rows = [{name: float(value) for name, value in row.items()} for row in read_rows(path)]
    return [row for row in rows if "epoch" in row]
