"""Which crop a release gets, from what each candidate does to Dice on the validation cases."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from handler.card import HeadCrop
from training.judge.cropping import CANDIDATES, LARGEST_LOSS, choose_crop

FIRST, SECOND = CANDIDATES[:2]


class Card(SimpleNamespace):
    def with_changes(self, crop: HeadCrop | None) -> "Card":
        return Card(crop=crop)


class Predictor(SimpleNamespace):
    def with_card(self, card: Card) -> "Predictor":
        return Predictor(released_card=card)


def chosen(monkeypatch: pytest.MonkeyPatch, dice: dict[HeadCrop | None, tuple[float, float]]) -> tuple[Any, Any]:
    """The crop for networks with these means per slice and per case; crops not named lose a tenth."""

    def judged(predictor: Any, *_: Any) -> SimpleNamespace:
        per_slice, per_case = dice.get(predictor.released_card.crop, (0.7, 0.7))
        figures = {"dice_slice_mean": per_slice, "dice_case_mean": per_case, "roc_auc": 0.5}
        return SimpleNamespace(figures=[SimpleNamespace(name=name, value=value) for name, value in figures.items()])

    monkeypatch.setattr("training.judge.cropping.evaluate", judged)
    predictor, record = choose_crop(cast(Any, Predictor(released_card=Card(crop=None))), [])
    return cast(Any, predictor).released_card.crop, record


def test_the_fastest_crop_that_loses_nothing_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    crop, record = chosen(monkeypatch, {None: (0.8, 0.8), FIRST: (0.8, 0.8), SECOND: (0.9, 0.9)})
    assert crop == FIRST
    assert record["without"] == {"dice_slice_mean": 0.8, "dice_case_mean": 0.8}


def test_a_crop_that_loses_in_either_mean_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    loses = 0.8 - 2 * LARGEST_LOSS
    for bad in ((loses, 0.9), (0.9, loses)):
        crop, record = chosen(monkeypatch, {None: (0.8, 0.8), FIRST: bad, SECOND: (0.8, 0.8 - LARGEST_LOSS / 2)})
        assert crop == SECOND
        assert len(record["change"]) == 2


def test_a_crop_that_gains_is_no_reason_to_refuse_it(monkeypatch: pytest.MonkeyPatch) -> None:
    crop, _ = chosen(monkeypatch, {None: (0.8, 0.8), FIRST: (0.85, 0.82)})
    assert crop == FIRST


def test_where_every_crop_loses_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    crop, record = chosen(monkeypatch, {None: (0.8, 0.8)})
    assert crop is None
    assert len(record["change"]) == len(CANDIDATES)
