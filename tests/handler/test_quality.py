"""What is expected of a mask: numbers that follow from the probabilities, and bounds of the tumour's size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handler.card import FileRecord
from handler.measure import STEPS, mask_of, to_steps
from handler.pipeline import open_model
from handler.trust.levels import BINS, levels_of, together
from handler.trust.quality import FEW, Estimator, estimator_of, quality_of, tail_bounds
from handler.trust.report import UNKNOWN
from prove.drawn.pictures import png, tiff
from prove.drawn.volumes import nifti
from samples.phantom import draw, draw_stack
from tests.handler.models import FLAIR_RULE, card, model
from tests.handler.test_pipeline import told
from tests.handler.volumes import test_way

BLOCK: dict[str, Any] = {
    "kind": "levels-1",
    "weights": {"found": [0.2, 0.9], "empty": [1.0, -0.8, -0.1], "scan": [0.5, 0.8]},
    "floor": {"slice": 0.85, "scan": 0.7},
    "interval": {"level": 0.9, "slice_tail": 0.05, "scan_tail": 0.2},
}
TRUST = {"quality": BLOCK}


def estimator() -> Estimator:
    made = estimator_of(TRUST)
    assert made is not None
    return made


def soft_disc(blur: float, size: int = 128) -> np.ndarray:
    """Steps of a disc of radius 30 whose probability falls from 1 to 0 over ``blur`` pixels at its edge."""
    rows, columns = np.mgrid[:size, :size] - size / 2
    return to_steps((1 / (1 + np.exp((np.hypot(rows, columns) - 30) / blur))).astype(np.float32))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), edge=st.floats(0.01, 0.99))
def test_levels_count_pixels(seed: int, edge: float) -> None:
    rng = np.random.default_rng(seed)
    steps = rng.integers(0, STEPS + 1, (40, 50)).astype(np.uint16)
    mask = rng.random((40, 50)) < 0.3
    levels = levels_of(steps, mask)
    assert (levels.total, levels.area) == (2000, mask.sum())
    assert levels.largest == pytest.approx(steps.max() / STEPS, abs=1 / BINS)
    near = [(steps >= (edge + shift) * STEPS).sum() for shift in (1 / BINS, -1 / BINS)]
    assert near[0] <= levels.above(edge) <= near[1]


def test_the_expected_overlap_is_the_mean_dice_of_drawn_truths() -> None:
    steps = soft_disc(4.0)
    mask = mask_of(steps, 0.4, 0)
    probability = steps / STEPS
    rng = np.random.default_rng(0)
    truths = [rng.random(steps.shape) < probability for _ in range(200)]
    mean = np.mean([2 * (mask & truth).sum() / (mask.sum() + truth.sum()) for truth in truths])
    assert levels_of(steps, mask).expected_overlap == pytest.approx(mean, abs=0.005)


def test_doubt_lowers_the_dice_and_widens_the_interval() -> None:
    levels = [levels_of(steps, mask_of(steps, 0.4, 0)) for steps in map(soft_disc, (1.0, 4.0, 8.0))]
    dice = [estimator().slice_dice(one) for one in levels]
    assert dice == sorted(dice, reverse=True)
    assert dice[0] - dice[2] > 0.05
    widths = [high - low for low, high in (estimator().interval([one]) for one in levels)]
    assert widths == sorted(widths)
    assert widths[2] > 2 * widths[0]
    true_area = np.pi * 30**2
    assert all(low < true_area < high for low, high in (tail_bounds(one, 0.2) for one in levels))


def test_few_slices_get_the_wider_interval() -> None:
    steps = soft_disc(4.0)
    one = levels_of(steps, mask_of(steps, 0.4, 0))
    few, many = (estimator().interval([one] * count) for count in (FEW - 1, FEW))
    assert (few[1] - few[0]) / (FEW - 1) > 1.5 * (many[1] - many[0]) / FEW


def test_the_number_found_is_inside() -> None:
    """Even for a mask that was asked for with an absurd threshold, or whose components were all dropped."""
    steps = soft_disc(4.0)
    for mask in (steps > 60, steps > 65500, np.zeros(steps.shape, bool)):
        low, high = estimator().interval([levels_of(steps, mask)])
        assert low <= mask.sum() <= high


def test_a_slice_that_is_not_assessed_is_left_out() -> None:
    steps = soft_disc(2.0)
    one = levels_of(steps, mask_of(steps, 0.4, 0))
    whole, each = quality_of(estimator(), [None, one, None], 0.002)
    alone, _ = quality_of(estimator(), [one], 0.002)
    assert (whole, each[0], each[2]) == (alone, UNKNOWN, UNKNOWN)
    assert whole.pixels_interval is not None
    assert whole.volume_ml_interval == tuple(0.002 * pixels for pixels in whole.pixels_interval)
    assert quality_of(estimator(), [None], None)[0].level is None
    assert quality_of(None, [one], None)[0].level is None


def test_floors_make_uncertain() -> None:
    sure, unsure = (levels_of(s, mask_of(s, 0.4, 0)) for s in (soft_disc(0.5), soft_disc(14.0)))
    whole, each = quality_of(estimator(), [sure, unsure], None)
    assert [one.uncertain for one in each] == [False, True]
    assert whole.mask.uncertain is (whole.mask.expected_dice < 0.7)
    assert together([sure, unsure]).area == sure.area + unsure.area


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "levels-2"},
        {"weights": {"found": [1.0], "empty": [1.0, 1.0, 1.0], "scan": [1.0, 1.0]}},
        {"weights": {"found": [1.0, float("nan")], "empty": [1.0, 1.0, 1.0], "scan": [1.0, 1.0]}},
        {"floor": {}},
        {"interval": {"level": 0.9, "slice_tail": 0.0, "scan_tail": 0.2}},
        {"interval": None},
    ],
)
def test_a_block_that_cannot_be_used_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"trust\.quality"):
        estimator_of({"quality": {**BLOCK, **change}})


def test_a_release_with_such_a_block_does_not_open(tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes(b"none")
    record = FileRecord.of(tmp_path / "weights.safetensors")
    card(weights=record, trust={"quality": {**BLOCK, "kind": "other"}}).write(tmp_path)
    with pytest.raises(ValueError, match="other"):
        open_model(tmp_path, "torch", 1)


def test_in_the_answer_of_a_picture() -> None:
    lesion = png(draw(7, 0.09).image)
    found = told(model(FLAIR_RULE, trust=TRUST), lesion)
    low, high = found["trust"]["tumor_pixels_interval"]
    assert low <= found["tumor_pixels"] <= high < found["total_pixels"]
    assert found["trust"]["interval_level"] == 0.9
    assert found["trust"]["tumor_volume_ml_interval"] is None
    assert found["trust"]["expected_dice"] == found["slices"][0]["trust"]["expected_dice"] > 0.5
    assert found["trust"]["uncertain"] is (found["trust"]["expected_dice"] < 0.85)
    assert told(model(FLAIR_RULE), lesion)["trust"]["expected_dice"] is None


def test_in_the_answer_of_a_stack() -> None:
    phantoms = draw_stack(3, 5, 192)
    file = tiff([phantom.image for phantom in phantoms], photometric="rgb", compression="zlib")
    known = model(FLAIR_RULE, trust=TRUST)
    stacked = told(known, file)
    each = [told(known, png(phantom.image)) for phantom in phantoms]
    assert [s["trust"] for s in stacked["slices"]] == [a["slices"][0]["trust"] for a in each]
    low, high = stacked["trust"]["tumor_pixels_interval"]
    assert low <= stacked["tumor_pixels"] <= high


def test_in_the_answer_of_a_volume() -> None:
    scan, _ = test_way.head()
    found = test_way.told(model(FLAIR_RULE, trust=TRUST), nifti(scan))
    pixels, volume = (found["trust"][f"tumor_{name}_interval"] for name in ("pixels", "volume_ml"))
    voxel = float(np.prod(found["input"]["geometry"]["spacing_mm"])) / 1000
    assert volume == pytest.approx([voxel * n for n in pixels], abs=1e-3)
    assert volume[0] <= found["tumor_volume_ml"] <= volume[1]
    assert json.dumps(found["trust"], allow_nan=False)
