"""Two trainings on the same cases: differences with intervals, and what only one of them judged is named."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.training.conftest import call
from training.judge.compare import CompareError, compare, find_report, read_both
from training.judge.evaluation import Report, to_json
from training.judge.figures import differences, figures
from training.judge.scores import SliceScore, score_slice

CASES = tuple(f"case_{number}" for number in range(6))


def scores(shift: int, cases: Iterable[str] = CASES) -> list[SliceScore]:
    """Three slices a case, of which the last has no tumour; what is found lies ``shift`` pixels beside the truth."""
    made = []
    for case in cases:
        at = CASES.index(case) if case in CASES else 0
        for number in range(3):
            truth = np.zeros((32, 32), np.bool_)
            if number < 2:
                truth[8 : 14 + at, 8:20] = True
            found = np.roll(truth, shift, axis=1)
            made.append(score_slice(case, number, found.astype(np.uint16) * 60000, found, truth))
    return made


def report(folder: Path, shift: int, cases: Iterable[str] = CASES, **origin: str) -> Path:
    """As scripts/evaluate writes it."""
    judged = tuple(scores(shift, cases))
    made = Report("a/last.ckpt", f"brainseg {shift}", "test", False, 0.5, 0, figures(judged, bootstraps=3), judged,
                  origin=origin)  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(to_json(made)))
    return folder


def by_name(first: int, second: int) -> dict[str, Any]:
    return {figure.name: figure for figure in differences(scores(first), scores(second))}


def test_differences_are_the_second_less_the_first_with_an_interval_around_them() -> None:
    found = by_name(4, 2)
    dice = found["dice_slice_mean"]
    assert dice.second - dice.first == pytest.approx(dice.difference)
    assert 0 < dice.low <= dice.difference <= dice.high
    assert (dice.slices, dice.cases) == (12, 6)
    turned = by_name(2, 4)["dice_slice_mean"]
    assert (turned.low, turned.high) == pytest.approx((-dice.high, -dice.low))


def test_draws_are_paired() -> None:
    """A network with itself differs by nothing in every draw, however much cases differ."""
    dice = by_name(3, 3)["dice_case_mean"]
    assert (dice.difference, dice.low, dice.high) == (0, 0, 0)


def test_the_figures_of_a_report_come_back_from_it(tmp_path: Path) -> None:
    first, second = read_both((report(tmp_path / "a", 4), report(tmp_path / "b", 2)), None)
    found = {figure.name: figure for figure in compare(first, second).figures}
    direct = by_name(4, 2)
    for name in ("dice_slice_mean", "iou_slice_mean", "dice_case_mean", "sensitivity", "hd95_mean_pixels"):
        assert found[name] == direct[name], name
    assert "calibration_error" not in found, "a report holds no sums for it"


def test_what_only_one_judged_is_named_and_left_out(tmp_path: Path) -> None:
    first = report(tmp_path / "a", 4)
    second = report(tmp_path / "b", 2, (*CASES[1:], "case_new"))
    content = json.loads((second / "report.json").read_text())
    content["slices"] = [row for row in content["slices"] if (row["case"], row["number"]) != ("case_3", 1)]
    (second / "report.json").write_text(json.dumps(content))
    found = compare(*read_both((first, second), "test"))
    assert found.only == (("case_0", "case_3/1"), ("case_new",))
    assert {case for case, *_ in found.cases} == set(CASES[1:])


def test_other_masks_and_nothing_shared_are_no_comparison(tmp_path: Path) -> None:
    first, second = report(tmp_path / "a", 4), report(tmp_path / "b", 2)
    content = json.loads((second / "report.json").read_text())
    content["slices"][0]["truth_pixels"] += 1
    (second / "report.json").write_text(json.dumps(content))
    with pytest.raises(CompareError, match=r"1 slices, case_0/0 for one, have another mask.*Judge both on the same"):
        compare(*read_both((first, second), None))
    with pytest.raises(CompareError, match="on no slice that both share"):
        compare(*read_both((first, report(tmp_path / "c", 2, ["other"])), None))
    with pytest.raises(CompareError, match=r"no side validation that both judged: .*a.report\.json has test"):
        read_both((first, second), "validation")


def test_where_reports_are_found(tmp_path: Path) -> None:
    inner = report(tmp_path / "run" / "judged", 1) / "report.json"
    assert find_report(tmp_path / "run") == find_report(inner) == inner
    usual = report(tmp_path / "run" / "report", 1) / "report.json"
    assert find_report(tmp_path / "run") == usual
    (tmp_path / "bare").mkdir()
    with pytest.raises(CompareError, match=r"has no report.json; make one: ./scripts/evaluate .*bare/last.ckpt --out"):
        find_report(tmp_path / "bare")
    (tmp_path / "bare" / "report.json").write_text("[1]")
    with pytest.raises(CompareError, match="is no report of scripts/evaluate or scripts/release"):
        read_both((tmp_path / "bare", usual), None)


def test_the_command_tells_both_apart_and_writes_table_json_and_page(tmp_path: Path) -> None:
    one = report(tmp_path / "run-a" / "report", 4, run="run-a", recipe="cpu", created="2026-11-01")
    two = report(tmp_path / "run-b", 2, CASES[1:], run="run-b", recipe="light", created="2026-11-02")
    logs = tmp_path / "run-a" / "logs"
    logs.mkdir()
    (logs / "metrics.csv").write_text("epoch,step,train/loss_epoch,val/dice\n0,9,0.5,0.2\n1,19,0.4,0.3\n")
    done = call("compare", one.parent, two, "--out", tmp_path / "out")
    assert done.code == 0, done.error
    assert "first : brainseg 4: run run-a, recipe cpu, released 2026-11-01" in done.out
    assert "second: brainseg 2: run run-b, recipe light, released 2026-11-02" in done.out
    assert "left out, for only the first has them: case_0" in done.out
    assert "dice_slice_mean" in done.out
    content = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert content["first"]["origin"]["run"] == "run-a"
    assert len(content["cases"]) == 5
    assert len(content["slices"]) == 15
    assert {row["difference"] is None for row in content["slices"] if row["truth_pixels"]} == {False}
    html = (tmp_path / "out" / "compare.html").read_text()
    for said in ("Training, first", "Dice against lesion size, second", "run run-b", "Research use only"):
        assert said in html
    assert "Training, second" not in html, "that run has no log here"
    failed = call("compare", tmp_path / "nowhere", two)
    assert failed.code == 1
    assert "has no report.json" in failed.error
