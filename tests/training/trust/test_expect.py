"""The block of expected quality: what it promises holds on drawn cases, and nobody witnesses what he has seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handler.card import read_card
from handler.trust.levels import levels_of
from handler.trust.quality import estimator_of
from tests.detector import write_detector
from tests.training.conftest import Outcome, call
from training.data.phantoms import PHANTOM_CASES, write_phantoms
from training.trust.expect import TooFewError, conformal, fractional, scans_to_fit, widest_tail
from training.trust.witness import Slices

CASES = tuple(f"TCGA_{site}_{number:04d}_20000101" for site in ("CS", "DU", "HT") for number in range(5))


def test_a_new_case_is_held_as_often_as_promised() -> None:
    rng = np.random.default_rng(0)
    held = []
    for _ in range(400):
        tails = rng.random(31) ** 3
        tail = conformal(tails[:-1], [str(n) for n in range(30)], 0.9)
        held.append(tails[-1] >= tail)  # its own widest tail: bounds of a smaller tail hold it too
    assert 0.87 < np.mean(held) < 0.95


def test_cases_count_alike_whatever_their_slices() -> None:
    tails = np.array([0.4] * 100 + [0.3, 0.2] + [0.1] * 10)
    case = ["long"] * 100 + ["a", "b"] + [f"c{n}" for n in range(10)]
    assert conformal(tails, case, 0.9) == 0.1
    assert conformal(np.array([0.4] * 100 + [0.1] * 9), ["a"] * 100 + [str(n) for n in range(9)], 0.9) == 0.1


def test_eight_cases_cannot_promise_nine_in_ten() -> None:
    with pytest.raises(TooFewError, match="8 cases"):
        conformal(np.full(8, 0.3), list("abcdefgh"), 0.9)
    assert conformal(np.linspace(0.1, 0.3, 9), list("abcdefghi"), 0.9) == 0.1
    with pytest.raises(TooFewError, match="no interval"):
        conformal(np.array([0.3] * 8 + [0.0]), list("abcdefghi"), 0.9)


def test_the_widest_tail_is_where_the_truth_falls_out() -> None:
    steps = np.repeat(np.linspace(0, 65535, 200).astype(np.uint16), 50)[:, None]
    levels = levels_of(steps, steps > 30000)
    for share in (0.8, 0.9):
        truth = round(share * steps.size)  # pixels above 1 - share
        assert widest_tail(levels, truth) == pytest.approx(1 - share, abs=0.012)
    assert widest_tail(levels, steps.size // 2) == 0.5
    assert widest_tail(levels_of(steps * 0, steps > 1), 5000) == 0.0


def test_fractional_finds_the_weights() -> None:
    facts = np.random.default_rng(0).normal(size=(4000, 2))
    dice = 1 / (1 + np.exp(-(0.5 + facts @ [1.0, -2.0])))
    np.testing.assert_allclose(fractional(facts, dice, np.ones(4000)), (0.5, 1.0, -2.0), atol=1e-3)


def said(cases: int, released: bool) -> Slices:
    """One slice a case, all alike."""
    steps = np.linspace(0, 65535, 400).astype(np.uint16).reshape(20, 20)
    levels = levels_of(steps, steps > 30000)
    stacked = np.tile(np.stack([levels.pixels, levels.found]), (cases, 1, 1))
    truth = np.full(cases, 200)
    names = tuple(f"case-{n:02}" for n in range(cases))
    return Slices("w", "sha256:0", names, stacked, truth, truth, np.ones(cases), (steps > 30000,) * cases, released)


def test_short_runs_do_not_widen_the_intervals_of_scans_where_releases_are_enough() -> None:
    assert len(scans_to_fit([said(9, True), said(30, False)], 0.9)) == 9
    assert len(scans_to_fit([said(8, True), said(30, False)], 0.9)) == 38


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Phantoms, a release that has seen all cases but three, and a witness that has seen three."""
    root = tmp_path_factory.mktemp("store")
    write_phantoms(root / "data", 128, 2, CASES)
    sides: dict[str, dict[str, Any]] = {
        "2.0": {"train": CASES[:9], "validation": CASES[9:12], "test": CASES[12:]},
        "1.0": {"train": CASES[:2], "validation": CASES[2:12], "test": CASES[12:]},
    }
    for version, split in sides.items():
        write_detector(root, version)
        folder = root / f"brainseg-{version}"
        read_card(folder).with_changes(data={name: list(side) for name, side in split.items()}).write(folder)
    return root


def ask(store: Path, *more: str | Path) -> Outcome:
    return call("fit_quality", store / "brainseg-2.0", "--data", store / "data", "--out", store / "block.json", *more)


def test_the_command_fits_and_judges(store: Path) -> None:
    (store / "block.json").write_text('{"drift": {"by": "another command"}}')
    more = ("--witness", store / "brainseg-1.0", "--judge", "--second", store / "brainseg-1.0")
    outcome = ask(store, *more, "--cache", store / "cache")
    assert outcome.code == 0, outcome.error
    block = json.loads((store / "block.json").read_text())["quality"]
    assert estimator_of({"quality": block}) is not None
    assert block["fitted_on"][0]["cases"] == sorted(CASES[2:12])
    assert (block["interval"]["scan_cases"], block["interval"]["slice_cases"]) == (10, 10)
    test = block["figures"]["test"]
    assert (test["cases"], test["interval"]["cases"]) == (3, 3)
    assert {row["score"] for row in test["risk"]["slices"]} == {
        *("largest_probability", "expected_dice", "dice_between_networks"),
    }
    kept = {path.name for path in (store / "cache").iterdir()}
    assert len(kept) == 3
    assert ask(store, *more, "--cache", store / "cache").code == 0
    assert {path.name for path in (store / "cache").iterdir()} == kept
    assert json.loads((store / "block.json").read_text()) == {"drift": {"by": "another command"}, "quality": block}


def test_who_has_seen_every_case_cannot_witness(store: Path, tmp_path: Path) -> None:
    write_detector(tmp_path, "1.0")
    folder = tmp_path / "brainseg-1.0"
    everything = {"train": list(CASES[:12]), "validation": [], "test": list(CASES[12:])}
    read_card(folder).with_changes(data=everything).write(folder)
    outcome = ask(store, "--witness", folder)
    assert outcome.code == 1
    assert "cannot witness" in outcome.error


def test_the_test_cases_are_left_alone_without_judge(store: Path) -> None:
    assert len(PHANTOM_CASES) >= 9
    assert ask(store, "--witness", store / "brainseg-1.0", "--cache", store / "other").code == 0
    assert len(list((store / "other").iterdir())) == 1
    assert "test" not in json.loads((store / "block.json").read_text())["quality"]["figures"]
