"""Figures of several classes by hand, and what is chosen where there is validation."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.special import logit

from handler.card import Calibration, parse_card
from handler.compose import probabilities
from handler.labels import SIGMOID, SOFTMAX, Labelling
from tests.labelled import LABELS, REGIONS, labelled_card
from training.data.volumes import CaseVolume
from training.judge.region_choice import choose_regions, fit_scale
from training.judge.volumes import (
    CaseScore,
    PartScore,
    figures_of,
    read_scores,
    score_volume,
    surface_distance_95_mm,
)
from training.judge.volumes_page import case_rows, figure_rows

SOFT = Labelling(LABELS, REGIONS[SOFTMAX], SOFTMAX)


def volume(truth: np.ndarray, case: str = "a") -> CaseVolume:
    grid: Any = SimpleNamespace(spacing_mm=(1.0, 2.0, 5.0))
    channels: Any = SimpleNamespace(flair=SimpleNamespace(grid=grid))
    return CaseVolume(case, channels, SimpleNamespace(), truth)  # type: ignore[arg-type]  # all that scoring looks at


def test_regions_and_labels_are_counted_by_voxel() -> None:
    truth = np.zeros((2, 4, 4), np.uint8)
    truth[0, 0] = [1, 2, 3, 3]
    found = np.zeros_like(truth)
    found[0, 0] = [3, 2, 3, 0]
    scored = score_volume(found, volume(truth), SOFT).parts
    assert [part.name for part in scored] == [one.name for one in (*REGIONS[SOFTMAX], *LABELS)]
    parts = {part.name: part for part in scored}
    whole, core = parts["whole tumour"], parts["tumour core"]
    assert (whole.truth, whole.found, whole.both) == (4, 3, 3)
    assert whole.dice == pytest.approx(6 / 7)
    assert (core.truth, core.found, core.both) == (3, 2, 2)
    missed = parts["necrosis and non-enhancing core"]
    assert (missed.dice, missed.hd95_mm) == (0, None)
    with pytest.raises(ValueError, match="equal shapes"):
        score_volume(found[:1], volume(truth), SOFT)


def test_distance_is_in_millimetres_and_the_worse_direction() -> None:
    one, other = np.zeros((3, 8, 8), bool), np.zeros((3, 8, 8), bool)
    one[0, 2, 2] = other[2, 2, 2] = True
    assert surface_distance_95_mm(one, other, (5.0, 2.0, 1.0)) == 10.0
    other[0, 2, 2] = True  # now all of one is found, half of the other is 10 mm away
    assert surface_distance_95_mm(one, other, (5.0, 2.0, 1.0)) == pytest.approx(9.5)
    assert surface_distance_95_mm(one, np.zeros_like(one), (5.0, 2.0, 1.0)) is None


def part(truth: int, found: int, both: int, far: float | None) -> tuple[PartScore, ...]:
    return tuple(PartScore(one.name, truth, found, both, far) for one in (*REGIONS[SOFTMAX], *LABELS))


def test_a_patient_counts_once_and_what_is_empty_is_said() -> None:
    scores = (
        CaseScore("a", "a", part(10, 10, 10, 2.0)),
        CaseScore("a again", "a", part(10, 10, 0, 4.0)),
        CaseScore("b", "b", part(10, 0, 0, None)),
        CaseScore("c", "c", part(0, 0, 0, None)),
        CaseScore("d", "d", part(0, 5, 0, None)),
    )
    figure = figures_of(scores, SOFT)[0]
    assert figure.dice == pytest.approx((0.5 + 0 + 1 + 0) / 4)
    assert (figure.hd95_mm, figure.hd95_patients, figure.patients, figure.cases) == (3.0, 1, 4, 5)
    assert (figure.missed, figure.false) == (1, 1)


def test_a_report_is_read_back() -> None:
    score = CaseScore("a", "a", part(10, 9, 8, 1.5))
    row = {"case": "a", "patient": "a", "parts": [{**one.__dict__, "dice": one.dice} for one in score.parts]}
    assert read_scores({"cases": [row]}) == (score,)
    head, rows = case_rows([row])
    assert head[:3] == ["case", "patient", "whole tumour"]
    assert rows[0][2] == pytest.approx(16 / 19)
    assert figure_rows([figure.__dict__ for figure in figures_of((score,), SOFT)])[0][:2] == ("whole tumour", "region")


def test_a_network_that_is_too_sure_is_scaled_down() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, (64, 64)).astype(np.uint8)
    said = np.where(rng.random(truth.shape) < 0.7, truth, rng.integers(0, 4, truth.shape))
    # Right in 0.7 + 0.3 / 4 of all pixels; the logits that say so, three times too large.
    height = 3 * (logit(0.775) + np.log(3))
    logits = (height * (said == np.arange(4)[:, None, None])).astype(np.float32)
    assert fit_scale([logits], [truth], SOFT) == pytest.approx(1 / 3, rel=0.1)
    assert fit_scale([logits], [np.zeros_like(truth)], SOFT) == 1
    assert choose_regions([logits], [truth], SOFT, 1.0) == SOFT.regions


def test_each_region_of_a_sigmoid_has_a_scale_of_its_own() -> None:
    """Two that are too sure by different factors; of the third there is nothing to fit by."""
    rng = np.random.default_rng(0)
    labelling = Labelling(LABELS, REGIONS[SIGMOID], SIGMOID)
    truth = rng.integers(0, 3, (96, 96)).astype(np.uint8)  # no enhancing
    logits = np.full((3, *truth.shape), -3.0, np.float32)
    for channel, factor in enumerate((2.0, 4.0)):
        inside = np.isin(truth, labelling.regions[channel].labels)
        said = np.where(rng.random(truth.shape) < 0.8, inside, ~inside)
        logits[channel] = factor * logit(0.8) * np.where(said, 1, -1)
    scale = fit_scale([logits], [truth], labelling)
    assert scale == pytest.approx((1 / 2, 1 / 4, 1), rel=0.1)
    card = labelled_card(SIGMOID, calibration=Calibration(scale=scale))
    assert parse_card(card.to_json()).calibration == card.calibration
    found = probabilities(logits[None], card)[0]
    assert found[:2].max(axis=(1, 2)) == pytest.approx(0.8, abs=0.02)
    assert [one.threshold for one in choose_regions([logits], [truth], labelling, scale)][:2] == [0.5, 0.5]


def test_each_region_gets_the_threshold_that_its_cases_want() -> None:
    labelling = Labelling(LABELS, REGIONS[SIGMOID], SIGMOID)
    truth = np.zeros((10, 10), np.uint8)
    truth[:5] = 3
    probability = np.where(truth > 0, 0.9, 0.1)[None].repeat(3, 0)
    probability[1] = np.where(truth > 0, 0.9, 0.68)  # core: healthy tissue at 0.68 is to be left out
    probability[2] = np.where(truth > 0, 0.3, 0.05)
    regions = choose_regions([logit(probability).astype(np.float32)], [truth], labelling, 1.0)
    assert [one.threshold for one in regions] == [0.5, 0.7, 0.25]
    assert [replace(one, threshold=0.5) for one in regions] == list(labelling.regions)
