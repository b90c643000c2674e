import numpy as np
import pytest

from training.judge.metrics import (
    brier_skill,
    dice_of,
    expected_calibration_error,
    iou_of,
    reliability,
    roc_auc,
    surface_distance_95,
)


def square(row: int, column: int, side: int, size: int = 20) -> np.ndarray:
    mask = np.zeros((size, size), bool)
    mask[row : row + side, column : column + side] = True
    return mask


def test_dice_and_iou_of_half_overlap() -> None:
    assert dice_of(both=2, found=4, truth=4) == 0.5
    assert iou_of(both=2, found=4, truth=4) == pytest.approx(1 / 3)


@pytest.mark.parametrize("metric", [dice_of, iou_of])
def test_empty_truth_scores_one_only_if_nothing_is_found(metric: object) -> None:
    assert metric(0, 0, 0) == 1.0  # type: ignore[operator]
    assert metric(0, 5, 0) == 0.0  # type: ignore[operator]
    assert metric(0, 0, 5) == 0.0  # type: ignore[operator]


def test_surface_distance_is_zero_for_equal_and_the_shift_for_shifted_pixels() -> None:
    assert surface_distance_95(square(3, 3, 5), square(3, 3, 5)) == 0
    assert surface_distance_95(square(3, 3, 1), square(3, 10, 1)) == 7
    assert surface_distance_95(square(3, 3, 0), square(3, 3, 5)) is None


def test_surface_distance_counts_the_picture_edge_as_outline() -> None:
    assert surface_distance_95(np.ones((8, 8), bool), np.ones((8, 8), bool)) == 0


def test_roc_auc_orders_and_halves_ties() -> None:
    truth = np.array([False, False, True, True])
    assert roc_auc(np.array([0.1, 0.2, 0.3, 0.4]), truth) == 1.0
    assert roc_auc(np.array([0.4, 0.3, 0.2, 0.1]), truth) == 0.0
    assert roc_auc(np.full(4, 0.5), truth) == 0.5
    assert np.isnan(roc_auc(np.array([0.1, 0.2]), np.array([True, True])))


def test_roc_auc_equals_sklearns() -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(1)
    scores, truth = rng.integers(0, 20, 200) / 20, rng.random(200) < 0.3
    assert roc_auc(scores, truth) == pytest.approx(sklearn.roc_auc_score(truth, scores))


def test_calibration_error_is_small_when_right_and_the_gap_when_not() -> None:
    rng = np.random.default_rng(2)
    p = rng.uniform(0, 1, 200_000)
    assert expected_calibration_error(reliability(p, rng.random(p.size) < p)) < 0.01
    # Always 0.8 said, true in 50 %: off by 0.3.
    said = np.full(1000, 0.8)
    assert expected_calibration_error(reliability(said, np.arange(1000) % 2 == 0)) == pytest.approx(0.3)


def test_calibration_ignores_what_is_sure() -> None:
    p = np.array([0.0, 0.05, 0.95, 1.0])
    sums = reliability(p, np.ones(4, bool))
    assert sums.sum() == 0
    assert np.isnan(expected_calibration_error(sums))


def test_brier_skill_of_perfect_prevalence_and_wrong() -> None:
    assert brier_skill(0, tumour=10, pixels=100) == 1
    assert brier_skill(100 * 0.1 * 0.9, tumour=10, pixels=100) == pytest.approx(0)
    assert brier_skill(100, tumour=10, pixels=100) < 0
    assert np.isnan(brier_skill(1, tumour=0, pixels=100))
