from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from handler.card import Architecture
from handler.classifier import Classifier
from training.data.cases import DataError
from training.types.compare import compare
from training.types.figures import (
    Judged,
    accuracy,
    calibration_error,
    confusion,
    figures,
    fit_temperature,
    probabilities,
    read_judged,
    recalls,
)
from training.types.heat import Look, grad_cam, look
from training.types.page import BEGIN, END, compared_section, heat_section, put, section
from training.types.slices import Box, TypeSlice


def judged(slices: int = 240, sure: float = 2.0, scale: float = 1.0) -> Judged:
    """Slices of twelve patients in three parts whose logits are calibrated where `scale` is 1."""
    rng = np.random.default_rng(1)
    logits = rng.normal(0, sure, (slices, 3))
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = np.array([rng.choice(3, p=row) for row in chances])
    owner = tuple(f"P{index % 12}" for index in range(slices))
    names = tuple(f"slice/{index}" for index in range(slices))
    return Judged(("a", "b", "c"), names, logits * scale, truth, owner, np.arange(slices) % 3)


def test_confusion_accuracy_and_recall_by_hand() -> None:
    counts = confusion(np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 1, 0]), 3)
    assert counts.tolist() == [[2, 1, 0], [0, 2, 0], [1, 0, 0]]
    assert accuracy(counts) == pytest.approx(4 / 6)
    assert recalls(counts).tolist() == pytest.approx([2 / 3, 1, 0])
    assert np.isnan(recalls(confusion(np.array([0]), np.array([0]), 2))[1])


def test_calibration_error_by_hand() -> None:
    chances = np.array([[0.9, 0.1], [0.9, 0.1], [0.3, 0.7], [0.4, 0.6]])
    # Two at 0.9 of which one is right; one at 0.7 that is right, one at 0.6 that is wrong, in bins of their own.
    assert calibration_error(chances, np.array([0, 1, 1, 0])) == pytest.approx(0.5 * 0.4 + 0.25 * 0.3 + 0.25 * 0.6)


def test_a_temperature_undoes_what_made_logits_too_sure() -> None:
    one = judged(3000, scale=2.5)
    assert fit_temperature(one.logits, one.truth) == pytest.approx(2.5, rel=0.1)


def test_each_part_is_calibrated_by_the_others_alone() -> None:
    one = judged()
    inside = one.part == 0
    twisted = Judged(
        one.classes, one.names, np.where(inside[:, None], one.logits * 9, one.logits), one.truth, one.owner, one.part
    )
    made = probabilities(twisted)
    temperature = fit_temperature(one.logits[~inside], one.truth[~inside])
    expected = np.exp(twisted.logits[inside] / temperature)
    assert np.allclose(made[inside], expected / expected.sum(axis=1, keepdims=True))


def test_figures_come_with_intervals_over_patients() -> None:
    one = judged()
    found = {figure.name: figure for figure in figures(one, draws=200)}
    assert set(found) >= {"accuracy", "macro recall", "recall of a", "recall of c", "calibration error"}
    assert all(figure.low <= figure.high for figure in found.values())
    right = found["accuracy"]
    assert right.low < right.value < right.high
    assert right.value == np.mean(one.logits.argmax(axis=1) == one.truth)
    # Twelve patients' slices together are fewer witnesses than slices each for itself.
    alone = Judged(one.classes, one.names, one.logits, one.truth, ("P",) * 240, one.part)
    still = {figure.name: figure for figure in figures(alone, draws=50)}["accuracy"]
    assert still.low == still.high == right.value


def test_predictions_are_read_back_and_doubles_refused(tmp_path: Path) -> None:
    head = "slice,class,patient,logit_a,logit_b\n"
    (tmp_path / "1.csv").write_text(head + "a/1,a,P,1.5,-0.5\nb/2,b,,0,2\n", encoding="utf-8")
    (tmp_path / "2.csv").write_text(head + "a/1,a,P,1,0\n", encoding="utf-8")
    one = read_judged([tmp_path / "1.csv"])
    assert one.classes == ("a", "b")
    assert one.truth.tolist() == [0, 1]
    assert one.owner == ("P", "b/2")
    with pytest.raises(DataError, match="held out twice"):
        read_judged([tmp_path / "1.csv", tmp_path / "2.csv"])
    (tmp_path / "3.csv").write_text(head.replace("_b", "_c") + "c/1,a,P,1,0\n", encoding="utf-8")
    with pytest.raises(DataError, match="others are of a, b"):
        read_judged([tmp_path / "1.csv", tmp_path / "3.csv"])
    with pytest.raises(DataError, match="no predictions"):
        read_judged([tmp_path / "none.csv"])


def test_two_recipes_are_compared_slice_by_slice_and_patient_by_patient() -> None:
    first = judged()
    right = first.logits.argmax(axis=1) == first.truth
    better = first.logits.copy()
    mended = np.flatnonzero(~right & np.isin(first.owner, ["P0", "P1", "P2"]))
    better[mended, first.truth[mended]] += 20
    order = np.random.default_rng(0).permutation(240)  # the other names its slices in another order
    second = replace(first, logits=better).only(order)
    found = compare(first, second, draws=200)
    accuracies = {one.name: one for one in found.differences}["accuracy"]
    assert (found.slices, found.patients) == (240, 12)
    assert accuracies.first == np.mean(right)
    assert accuracies.second - accuracies.first == pytest.approx(len(mended) / 240)
    assert 0 <= accuracies.low < len(mended) / 240 < accuracies.high
    alike = compare(first, first.only(order), draws=50)
    assert all(one.low == one.high == one.second - one.first == 0 for one in alike.differences)
    few = compare(first, second.only(np.arange(100)), draws=50)
    assert few.slices == 100
    assert "| accuracy | " in compared_section("one", "other", found)
    with pytest.raises(DataError, match="no slice was held out by both"):
        compare(first, replace(second, names=tuple(f"other/{i}" for i in range(240))))
    with pytest.raises(DataError, match="different data"):
        compare(first, replace(first, truth=(first.truth + 1) % 3))


def test_a_class_apart_counts_for_itself_alone_and_may_be_named_wrongly() -> None:
    first = judged()
    with_one_more = np.concatenate([first.logits, np.full((240, 1), -50.0)], axis=1)
    fools = np.flatnonzero((first.logits.argmax(axis=1) == first.truth) & (first.truth == 0))[:7]
    with_one_more[fools, 3] = 50  # a tumour that is taken for none is missed
    bare = np.tile([0.0, 0.0, 0.0, 9.0], (30, 1))
    bare[:3] = [9.0, 0.0, 0.0, 0.0]
    four = Judged(
        ("a", "b", "c", "none"), (*first.names, *(f"none/{i}" for i in range(30))),
        np.concatenate([with_one_more, bare]), np.concatenate([first.truth, np.full(30, 3)]),
        (*first.owner, *(f"none/{i}" for i in range(30))), np.concatenate([first.part, np.arange(30) % 3]),
    )  # fmt: skip
    told = {one.name: one.value for one in figures(four, ["none"], draws=10)}
    right = np.mean(first.logits.argmax(axis=1) == first.truth)
    assert told["accuracy, none apart"] == pytest.approx(right - 7 / 240)
    assert told["recall of none"] == pytest.approx(0.9)
    plain = {one.name: one.value for one in figures(four, draws=10)}
    assert plain["accuracy"] == pytest.approx((240 * right - 7 + 27) / 270)
    assert told["macro recall, none apart"] == pytest.approx((plain["macro recall"] * 4 - 0.9) / 3)
    differences = {one.name: one for one in compare(first, four, ["none"], draws=10).differences}
    assert differences["accuracy"].second - differences["accuracy"].first == pytest.approx(-7 / 240)
    assert "recall of none" not in differences
    with pytest.raises(DataError, match="nothing is no class"):
        figures(four, ["nothing"])
    with pytest.raises(DataError, match="no slice is left"):
        figures(four, ["a", "b", "c", "none"])


def test_heat_lies_where_the_class_is_told_from() -> None:
    torch.manual_seed(0)
    network = Classifier(Architecture("classifier", "tu-tf_mobilenetv3_small_minimal_100", (), classes=2)).eval()
    with torch.no_grad():
        features = network.features(torch.rand(1, 3, 128, 128)).shape[1]
    maps = torch.zeros(1, features, 4, 4)
    maps[0, 0, 1, 2] = 1.0  # one channel, one place
    network.features = lambda _: maps.clone()  # type: ignore[method-assign]
    with torch.no_grad():
        network.head[-1].weight.zero_()
        network.head[-1].weight[1, 0] = 1.0
    heat = grad_cam(network, torch.rand(1, 3, 128, 128), [1])[0]
    assert heat.shape == (128, 128)
    assert heat.min() >= 0
    assert np.unravel_index(heat.argmax(), heat.shape)[0] // 32 == 1
    there = look(TypeSlice("b", "1", "", "P", Box(0.5, 0.25, 0.75, 0.5)), heat)
    away = look(TypeSlice("b", "1", "", "P", Box(0.0, 0.75, 0.25, 1.0)), heat)
    assert there.hit
    assert there.heat is not None
    assert there.heat > 0.4
    assert there.most == pytest.approx(there.heat)  # all heat was in the one cell that is the box
    assert not away.hit
    assert away.heat == 0
    assert away.area == pytest.approx(1 / 16)
    nothing = look(TypeSlice("a", "1", "", "P", Box(0, 0, 1, 1)), grad_cam(network, torch.rand(1, 3, 128, 128), [0])[0])
    assert nothing.heat is None
    assert not nothing.hit
    with pytest.raises(ValueError, match="no box"):
        look(TypeSlice("a", "1", ""), heat)


def test_the_page_keeps_what_is_written_around_its_figures() -> None:
    one = judged()
    made = section("Some", one, figures(one, draws=20)) + heat_section(
        [Look("a", 0.4, 0.1, True, 0.6), Look("a", None, 0.3, False, 0.8)]
    )
    assert "240 slices of 12 patients" in made
    assert "| a | 2 | 0.400 | 0.200 | 0.700 | 0.500 |" in made
    page = put("# Title\n\nthe rule\n", made)
    assert page.startswith("# Title\n\nthe rule\n")
    assert page.count(BEGIN) == page.count(END) == 1
    again = put(page + "after\n", "\nnew\n")
    assert again.endswith(f"{END}\nafter\n")
    assert "240 slices" not in again
    assert "the rule" in again
