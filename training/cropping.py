"""Decides whether a release may show its network the head only: by what that does to Dice on the validation cases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from handler.card import HeadCrop
from training.evaluation import Report, evaluate
from training.predictor import LocalPredictor
from training.slices import LabelledSlice

# Both means may move by less than this, or the whole slice is kept.
LARGEST_CHANGE = 0.002
WATCHED = ("dice_slice_mean", "dice_case_mean")


def _watched(report: Report) -> dict[str, float]:
    return {f.name: f.value for f in report.figures if f.name in WATCHED and f.value is not None}


def choose_crop(
    predictor: LocalPredictor, slices: Sequence[LabelledSlice], advance: Callable[[], None] = lambda: None
) -> tuple[LocalPredictor, dict[str, Any]]:
    """The predictor, its card with :class:`HeadCrop` where that moves neither Dice per tumour slice nor Dice per case
    by :data:`LARGEST_CHANGE` or more on ``slices``, and the figures behind it. ``advance`` is called twice a slice."""
    whole = predictor.with_card(predictor.released_card.with_changes(crop=None))
    cropped = predictor.with_card(predictor.released_card.with_changes(crop=HeadCrop()))
    without, with_crop = (_watched(evaluate(one, slices, "validation", False, advance)) for one in (whole, cropped))
    change = {name: with_crop[name] - without[name] for name in without}
    taken = bool(change) and all(abs(value) < LARGEST_CHANGE for value in change.values())
    record = {"chosen_on": "validation", "without": without, "change": change, "limit": LARGEST_CHANGE, "taken": taken}
    return (cropped if taken else whole), record
