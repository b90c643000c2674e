"""Judges a predictor on labelled slices: scores, figures, and a report as plain data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from handler.card import ModelCard
from training.data.seen import cases_seen_by
from training.data.slices import LabelledSlice
from training.judge.figures import Figure, case_dice, figures, tabulate
from training.judge.predictor import Predictor
from training.judge.scores import SliceScore, score_slice
from training.release.folder import library_versions


@dataclass(frozen=True)
class Report:
    """The outcome of one evaluation. `side` is train, validation, test or all; `leaks` says the split was by slice;
    `trained_on` counts the judged cases that the weights were trained on, None where nothing tells. `origin`: which
    training the weights are of, nulls where no card says."""

    source: str
    model: str
    side: str
    leaks: bool
    threshold: float | None
    min_lesion_pixels: int | None
    figures: tuple[Figure, ...]
    scores: tuple[SliceScore, ...]
    trained_on: int | None = None
    origin: Mapping[str, Any] = field(default_factory=dict)

    def figure(self, name: str) -> Figure:
        """The figure called `name`; KeyError for one that is not defined."""
        return {figure.name: figure for figure in self.figures}[name]


def evaluate(
    predictor: Predictor,
    slices: Sequence[LabelledSlice],
    side: str,
    leaks: bool,
    advance: Callable[[], None] = lambda: None,
) -> Report:
    """Segments every slice once and scores it in its own grid; `advance` is called after each."""
    scores = []
    predictor = predictor.among(slices)
    for item in slices:
        found = predictor.segment(item)
        scores.append(score_slice(item.pair.case, item.pair.number, found.steps, found.mask, item.mask))
        advance()
    card = predictor.card
    seen = cases_seen_by(card) if card else None
    return Report(
        source=predictor.name,
        model=f"{card.name} {card.version} ({card.architecture.label})" if card else predictor.name,
        side=side,
        leaks=leaks,
        threshold=card.threshold if card else None,
        min_lesion_pixels=card.min_lesion_pixels if card else None,
        figures=figures(scores),
        scores=tuple(scores),
        trained_on=None if seen is None else len(seen & {item.pair.case for item in slices}),
        origin=origin_of(card),
    )


def origin_of(card: ModelCard | None) -> dict[str, Any]:
    """What tells two trainings apart: the names of recipe and run, the digest of the weights, when they were released,
    and the data that they were trained on, by its name and its split."""
    if card is None:
        return dict.fromkeys(("run", "recipe", "weights", "created", "data"))
    data = {"set": card.data.get("set"), "split": card.data.get("split"), "cases": len(card.data.get("train", ()))}
    return {
        "run": card.recipe.get("run"),
        "recipe": card.recipe.get("name"),
        "weights": card.weights.sha256,
        "created": card.created,
        "data": data,
    }


def to_json(report: Report) -> dict[str, Any]:
    """The report as a JSON object: figures, a row per case, a row per slice."""
    return {
        "source": report.source,
        "model": report.model,
        "side": report.side,
        "origin": dict(report.origin),
        "judged": datetime.now(UTC).replace(microsecond=0).isoformat(),
        "split_leaks": report.leaks,
        "cases_trained_on": report.trained_on,
        "threshold": report.threshold,
        "min_lesion_pixels": report.min_lesion_pixels,
        "figures": [asdict(figure) for figure in report.figures],
        "cases": per_case(report.scores),
        "slices": [slice_row(score) for score in report.scores],
        "libraries": library_versions(),
    }


def per_case(scores: Sequence[SliceScore]) -> list[dict[str, Any]]:
    """Case, number of slices and of those with tumour, volumetric Dice; worst first."""
    table = tabulate(scores)
    dice = case_dice(table.case, table.counts)
    rows = []
    for case, value in zip(sorted({score.case for score in scores}), dice, strict=True):
        own = [score for score in scores if score.case == case]
        tumour = sum(score.has_tumour for score in own)
        rows.append({"case": case, "slices": len(own), "tumour_slices": tumour, "dice": float(value)})
    return sorted(rows, key=lambda row: row["dice"])


def slice_row(score: SliceScore) -> dict[str, Any]:
    """A slice's counts in pixels, Dice (None without tumour), HD95 in pixels and largest probability."""
    counts = {"truth_pixels": score.truth, "found_pixels": score.found, "both_pixels": score.both}
    return {
        "case": score.case,
        "number": score.number,
        **counts,
        "dice": score.dice if score.has_tumour else None,
        "hd95_pixels": score.hd95,
        "max_probability": score.max_probability,
    }
