"""The plots of reports as inline PNG; each function draws one figure from plain data."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

mpl.use("Agg")
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from training.judge.metrics import roc_auc
from training.judge.scores import SliceScore

_SIZE = (5.2, 3.6)  # inches, two side by side on a page
_BLUE, _RED, _GREY = "#2b6cb0", "#c53030", "#a0aec0"


def _axes(x: str, y: str) -> tuple[Canvas, Axes]:
    canvas = Canvas(figsize=_SIZE, layout="constrained")
    axes = canvas.add_subplot()
    axes.set(xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)
    return canvas, axes


def inline(canvas: Canvas) -> str:
    """The figure as a data URL, so that a page needs no other file."""
    buffer = io.BytesIO()
    canvas.savefig(buffer, format="png", dpi=90, metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def training_curves(rows: Sequence[dict[str, float]]) -> Canvas:
    """Loss and validation Dice over epochs; `rows` as logged, absent values left out."""
    canvas, axes = _axes("epoch", "loss")
    axes.plot(*_series(rows, "train/loss_epoch"), color=_BLUE, label="training loss")
    axes.plot(*_series(rows, "val/loss"), "o-", color=_RED, label="validation loss")
    right = axes.twinx()
    right.plot(*_series(rows, "val/dice"), "s--", color="black", label="validation Dice")
    right.set(ylabel="Dice per tumour slice", ylim=(0, 1))
    canvas.legend(loc="outside upper center", ncols=3, fontsize=8)
    return canvas


def _series(rows: Sequence[dict[str, float]], name: str) -> tuple[list[float], list[float]]:
    known = [row for row in rows if name in row]
    return [row["epoch"] + 1 for row in known], [row[name] for row in known]


def precision_recall(scores: Sequence[SliceScore]) -> Canvas:
    """Pixels of all slices together, one point per hundredth of probability."""
    canvas, axes = _axes("recall (pixels)", "precision (pixels)")
    clear, tumour = np.sum([score.histogram for score in scores], axis=0)[:, ::-1].cumsum(axis=1)
    if tumour[-1]:
        axes.plot(tumour / tumour[-1], tumour / np.maximum(tumour + clear, 1), color=_BLUE)
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    return canvas


def roc(scores: Sequence[SliceScore]) -> Canvas:
    """Slices, by their largest probability: has tumour or not."""
    canvas, axes = _axes("1 - specificity (slices)", "sensitivity (slices)")
    largest = np.array([score.max_probability for score in scores])
    positive = np.array([score.has_tumour for score in scores], dtype=bool)
    if positive.any() and not positive.all():
        order = np.argsort(-largest, kind="stable")
        hits, alarms = positive[order].cumsum(), (~positive[order]).cumsum()
        axes.plot(np.r_[0, alarms / alarms[-1]], np.r_[0, hits / hits[-1]], color=_BLUE)
        axes.set_title(f"AUC {roc_auc(largest, positive):.3f}", fontsize=9)
    axes.plot([0, 1], [0, 1], ":", color=_GREY)
    return canvas


def case_bars(cases: Sequence[dict[str, Any]]) -> Canvas:
    """Volumetric Dice of each case, worst first."""
    canvas, axes = _axes("case", "Dice over the whole case")
    axes.bar(range(len(cases)), [row["dice"] for row in cases], color=_BLUE)
    axes.set_xticks(range(len(cases)), [_short(row["case"]) for row in cases], rotation=90, fontsize=6)
    axes.set_ylim(0, 1)
    return canvas


def _short(case: str) -> str:
    """Institution and patient: DU_5851 of TCGA_DU_5851_19950428."""
    parts = case.split("_")
    return "_".join(parts[1:3]) if len(parts) >= 3 else case


def reliability_diagram(sums: NDArray[np.float64]) -> Canvas:
    """Share of tumour against probability, per bin of `training.judge.metrics.reliability`; the diagonal is perfect."""
    canvas, axes = _axes("predicted probability", "share of tumour")
    pixels, probability, tumour = sums[sums[:, 0] > 0].T
    axes.plot([0, 1], [0, 1], ":", color=_GREY)
    axes.plot(probability / pixels, tumour / pixels, "o-", color=_BLUE)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    return canvas


def dice_by_size(scores: Sequence[SliceScore]) -> Canvas:
    """Dice of each tumour slice against the size of its lesion."""
    canvas, axes = _axes("tumour in the truth, pixels", "Dice of the slice")
    tumour = [score for score in scores if score.has_tumour]
    axes.scatter([score.truth for score in tumour], [score.dice for score in tumour], s=9, alpha=0.6, color=_BLUE)
    axes.set(xscale="log", ylim=(-0.02, 1.02))
    return canvas


def histogram(values: Sequence[float], label: str, counted: str = "slices") -> Canvas:
    """How `values` are spread, in thirty bins; `counted` names what has them."""
    canvas, axes = _axes(label, counted)
    axes.hist(values, bins=30, color=_BLUE)
    return canvas


def stacked_bars(names: Sequence[str], lower: Sequence[int], upper: Sequence[int], labels: tuple[str, str]) -> Canvas:
    """Two counts on top of each other for each name."""
    canvas, axes = _axes("", "slices")
    axes.bar(names, lower, color=_RED, label=labels[0])
    axes.bar(names, upper, bottom=lower, color=_GREY, label=labels[1])
    axes.legend(fontsize=8)
    return canvas


def bars_side_by_side(names: Sequence[str], rows: Mapping[str, Sequence[float]], x: str, y: str) -> Canvas:
    """For each name a bar of each of `rows`, by the row's own name."""
    canvas, axes = _axes(x, y)
    places, width = np.arange(len(names)), 0.8 / len(rows)
    for number, ((label, values), colour) in enumerate(zip(rows.items(), (_BLUE, _GREY, _RED), strict=False)):
        axes.bar(places + number * width, values, width, color=colour, label=label)
    axes.set_xticks(places + 0.4 - width / 2, names, rotation=45, ha="right", fontsize=7)
    axes.legend(fontsize=8)
    return canvas


def paired_dice(pairs: Sequence[tuple[SliceScore, SliceScore]]) -> Canvas:
    """Dice of each tumour slice by the first and by the second; above the diagonal the second is better."""
    canvas, axes = _axes("Dice of the first", "Dice of the second")
    tumour = [(one.dice, two.dice) for one, two in pairs if one.has_tumour]
    axes.plot([0, 1], [0, 1], ":", color=_GREY)
    axes.scatter([one for one, _ in tumour], [two for _, two in tumour], s=9, alpha=0.6, color=_BLUE)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    return canvas
