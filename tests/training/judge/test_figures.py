import numpy as np
import pytest

from training.judge.calibrate import THRESHOLDS, TIE, fit_calibration, objective, slice_dice
from training.judge.figures import case_dice, figures, tabulate
from training.judge.scores import SliceScore, score_slice

SIZE = 16


def scored(case: str, number: int, truth_pixels: int, found_pixels: int, shift: int = 0) -> SliceScore:
    """A slice whose truth and mask are runs of pixels; the mask's begins `shift` later."""
    truth, mask = np.zeros(SIZE * SIZE, bool), np.zeros(SIZE * SIZE, bool)
    truth[:truth_pixels] = True
    mask[shift : shift + found_pixels] = True
    shape = (SIZE, SIZE)
    steps = np.where(mask, 60000, 100).astype(np.uint16).reshape(shape)
    return score_slice(case, number, steps, mask.reshape(shape), truth.reshape(shape))


SCORES = [
    scored("a", 1, 10, 10),  # right
    scored("a", 2, 10, 0),  # missed
    scored("a", 3, 0, 0),  # rightly empty
    scored("b", 1, 10, 10, shift=5),  # half right
    scored("b", 2, 0, 5),  # false alarm
]


def value(name: str) -> float:
    found = {figure.name: figure for figure in figures(SCORES, bootstraps=50)}[name].value
    assert found is not None
    return found


def test_slice_figures_count_tumour_slices_only_and_a_miss_as_zero() -> None:
    assert value("dice_slice_mean") == pytest.approx((1 + 0 + 0.5) / 3)
    assert value("iou_slice_mean") == pytest.approx((1 + 0 + 1 / 3) / 3)
    assert value("sensitivity") == pytest.approx(2 / 3)
    assert value("specificity") == 0.5


def test_case_figures_pool_all_slices_of_a_case() -> None:
    table = tabulate(SCORES)
    assert case_dice(table.case, table.counts) == pytest.approx([2 * 10 / 30, 2 * 5 / 25])
    assert value("dice_case_mean") == pytest.approx((2 / 3 + 0.4) / 2)


def test_each_figure_has_its_counts_and_an_interval_around_it() -> None:
    by_name = {figure.name: figure for figure in figures(SCORES, bootstraps=200)}
    dice = by_name["dice_slice_mean"]
    assert (dice.slices, dice.cases) == (3, 2)
    assert dice.low is not None
    assert dice.high is not None
    assert dice.low <= (dice.value or 0) <= dice.high
    assert by_name["specificity"].slices == 2


def test_intervals_are_reproducible_and_undefined_figures_are_none() -> None:
    assert figures(SCORES, seed=3, bootstraps=50) == figures(SCORES, seed=3, bootstraps=50)
    clean = {figure.name: figure for figure in figures([scored("a", 1, 0, 0), scored("b", 1, 0, 0)], bootstraps=20)}
    assert clean["dice_slice_mean"].value is None
    assert clean["roc_auc"].value is None
    assert clean["specificity"].value == 1


def test_no_scores_is_an_error() -> None:
    with pytest.raises(ValueError, match="no slice"):
        figures([])


def test_scoring_refuses_another_shape() -> None:
    with pytest.raises(ValueError, match="expected equal"):
        score_slice("a", 1, np.zeros((4, 4), np.uint16), np.zeros((4, 4), bool), np.zeros((4, 5), bool))


def test_calibration_recovers_a_shift_and_a_scale() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (300, 300)).astype(np.float32)
    truth = rng.random(logits.shape) < 1 / (1 + np.exp(-(0.5 * logits - 1.0)))
    fitted = fit_calibration([logits], [truth])
    assert fitted.scale == pytest.approx(0.5, abs=0.03)
    assert fitted.offset == pytest.approx(-1.0, abs=0.03)


def test_calibration_looks_at_undecided_pixels_whatever_the_logits_unit() -> None:
    """Clear background far from 0, where the line is another, does not bend the fit; nor does it matter what the
    network calls 1."""
    rng = np.random.default_rng(1)
    edge = rng.uniform(-6, 6, (400, 400)).astype(np.float32)
    truth = rng.random(edge.shape) < 1 / (1 + np.exp(-edge))
    far = np.full((400, 400), -12, np.float32)  # as likely tumour as the logit -5 says, not -12
    stray = rng.random(far.shape) < 0.007
    for unit in (0.2, 1.0, 4.0):
        fitted = fit_calibration([edge * unit, far * unit], [truth, stray])
        assert fitted.scale * unit == pytest.approx(1.0, abs=0.05)
        assert fitted.offset == pytest.approx(0.0, abs=0.05)


def test_calibration_without_both_kinds_of_pixel_is_the_identity() -> None:
    fitted = fit_calibration([np.zeros((4, 4), np.float32)], [np.zeros((4, 4), bool)])
    assert (fitted.scale, fitted.offset) == (1.0, 0.0)


def test_objective_punishes_misses_and_false_alarms() -> None:
    case = np.array([0, 0, 1])
    right = objective(case, np.array([[9, 9, 9], [0, 0, 0], [4, 4, 4]]))
    assert right == 1.0
    assert objective(case, np.array([[9, 9, 9], [0, 3, 0], [4, 4, 4]])) < right
    assert objective(case, np.array([[9, 9, 9], [0, 0, 0], [0, 0, 4]])) < right
    assert 0.5 in THRESHOLDS
    assert slice_dice(np.array([[1, 2, 2], [0, 0, 5], [0, 7, 0]])) == 0.25
    assert slice_dice(np.array([[0, 7, 0]])) is None
    assert TIE < 0.01
