"""A cross-validation's figures as plain data, and as the part of a page that the command writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from training.judge.evaluation import per_case, slice_row
from training.judge.figures import Figure, figures
from training.judge.folds import Settings
from training.judge.kinds import KINDS
from training.judge.scores import SliceScore

BEGIN, END = "<!-- figures: written by scripts/folds -->", "<!-- end of the figures -->"
WORST = 10
PUBLISHED = {"dice_case_mean": 0.836, "dice_case_median": 0.873}
SHOWN = {
    "dice_case_mean": "Dice per case, mean",
    "dice_case_median": "the same, median",
    "dice_slice_mean": "Dice per tumour slice, mean",
    "dice_slice_median": "the same, median",
    "iou_slice_mean": "IoU per tumour slice, mean",
    "dice_small_mean": "Dice per tumour slice of fewer than 300 pixels, mean",
    "sensitivity_small": "of those slices, found at all",
    "sensitivity": "slice has tumour: sensitivity",
    "specificity": "specificity",
    "roc_auc": "ROC AUC",
    "hd95_mean_pixels": "HD95, pixels",
    "calibration_error": "expected calibration error",
}
WAYS = ("published", "served")


@dataclass(frozen=True)
class Folds:
    """`published` and `served`: the scores of all slices, of the parts together, by each way to a mask; `settings`: of
    each run by its name, for the second; `kinds`: as `training.judge.kinds.kinds_of`; `held`: the cases that each run
    judges; `there`: how many the data have."""

    recipe: str
    published: Sequence[SliceScore]
    served: Sequence[SliceScore]
    settings: Mapping[str, Settings]
    kinds: Mapping[str, frozenset[str]]
    held: Mapping[str, tuple[str, ...]]
    there: int

    def scores(self, way: str) -> Sequence[SliceScore]:
        return self.published if way == "published" else self.served


def to_json(folds: Folds) -> dict[str, Any]:
    """Figures, cases (worst first) and slices by each way, settings and cases of each part, cases of each kind."""
    parts = {
        run: {"cases": list(folds.held[run]), "calibration": asdict(one.calibration), **asdict(one.choice)}
        for run, one in folds.settings.items()
    }
    ways = {
        way: {
            "figures": [asdict(figure) for figure in figures(folds.scores(way))],
            "cases": per_case(folds.scores(way)),
            "slices": [slice_row(score) for score in folds.scores(way)],
        }
        for way in WAYS
    }
    kinds = {name: sorted(cases) for name, cases in folds.kinds.items()}
    return {"recipe": folds.recipe, "cases_there": folds.there, "parts": parts, "kinds": kinds, **ways}


def page(folds: Folds) -> str:
    """Three tables in Markdown: the figures, the kinds of cases, the worst cases."""
    by_way = {way: {one.name: one for one in figures(folds.scores(way))} for way in WAYS}
    first = by_way["published"]["dice_case_mean"]
    missing = "" if first.cases == folds.there else f" **The other {folds.there - first.cases} cases are not judged.**"
    lines = [
        "",
        f"Recipe {folds.recipe}, {len(folds.held)} parts: {first.cases} of {folds.there} cases, "
        f"{first.slices:,} slices.{missing}",
        "",
        "| figure (95 % interval) | as published | as served | published there |",
        "|---|---|---|---|",
    ]
    for name, words in SHOWN.items():
        told = " | ".join(_told(by_way[way][name]) for way in WAYS)
        lines.append(f"| {words} | {told} | {PUBLISHED.get(name, '')} |")
    lines += ["", *_settings(folds), "", *_kinds(folds), "", *_worst(folds), ""]
    return "\n".join(lines)


def _told(figure: Figure) -> str:
    if figure.value is None:
        return "-"
    return f"{figure.value:.3f}" + ("" if figure.low is None else f" ({figure.low:.3f} to {figure.high:.3f})")


def _settings(folds: Folds) -> list[str]:
    rows = [
        f"| {run} | {len(folds.held[run])} | {one.choice.threshold} | {one.choice.min_lesion_pixels} | "
        f"{one.calibration.scale:.2f}, {one.calibration.offset:+.2f} |"
        for run, one in folds.settings.items()
    ]
    return ["| part | cases | threshold | smallest lesion | calibration |", "|---|---|---|---|---|", *rows]


def _kinds(folds: Folds) -> list[str]:
    dice = {way: {row["case"]: row["dice"] for row in per_case(folds.scores(way))} for way in WAYS}
    anyhow = frozenset().union(*folds.kinds.values())
    groups = {**{f"{name}: {KINDS[name]}": cases for name, cases in folds.kinds.items()}, "none of these": None}
    lines = ["| kind of case | cases | Dice per case, as published | as served |", "|---|---|---|---|"]
    for words, cases in groups.items():
        own = [case for case in dice["served"] if (case in cases if cases is not None else case not in anyhow)]
        if own:
            means = " | ".join(f"{np.mean([dice[way][case] for case in own]):.3f}" for way in WAYS)
            lines.append(f"| {words} | {len(own)} | {means} |")
    return lines


def _worst(folds: Folds) -> list[str]:
    served = {row["case"]: row["dice"] for row in per_case(folds.served)}
    lines = ["| worst cases | tumour slices | as published | as served | kinds |", "|---|---|---|---|---|"]
    for row in per_case(folds.published)[:WORST]:
        kinds = ", ".join(name for name, cases in folds.kinds.items() if row["case"] in cases)
        lines.append(
            f"| {row['case']} | {row['tumour_slices']} | {row['dice']:.3f} | {served[row['case']]:.3f} | {kinds} |"
        )
    return lines
