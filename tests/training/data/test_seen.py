"""Weights know the cases they were trained on, and no run may be judged by one of them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.card import read_card
from settings.mapping import SettingsError
from tests.training.conftest import call, changed_recipe
from training.data.seen import cases_seen, check_unseen
from training.data.split import Fold, LeakError, Split, case_of, check, fold_of, read_split, write_split

pytestmark = pytest.mark.training

TEST = ("TCGA_DU_9000_1", "TCGA_DU_9001_1")


def split_of(train: tuple[str, ...], by: str = "case") -> Split:
    return Split(by, 7, train, ("TCGA_CS_8000_1",), TEST)


@given(
    counts=st.tuples(*[st.integers(0, 20)] * 3).filter(lambda counts: sum(counts) >= 2),
    data=st.data(),
)
def test_folds_share_the_training_cases_out(counts: tuple[int, int, int], data: st.DataObject) -> None:
    named = zip(("CS", "DU", "HT"), counts, strict=True)
    cases = tuple(f"TCGA_{name}_{n:04d}_1" for name, count in named for n in range(count))
    whole = split_of(cases)
    parts = data.draw(st.integers(2, len(cases)))
    folds = [fold_of(whole, Fold(which, parts)) for which in range(1, parts + 1)]
    held = [case for fold in folds for case in fold.validation]
    assert sorted(held) == sorted(cases)  # each case is left out once
    sizes = [len(fold.validation) for fold in folds]
    assert max(sizes) - min(sizes) <= 1
    for fold in folds:
        check(fold)
        assert sorted(fold.train + fold.validation) == sorted(cases)
        assert fold.test == TEST
    assert folds == [fold_of(whole, Fold(which, parts)) for which in range(1, parts + 1)]


def test_folds_are_stratified_by_institution() -> None:
    cases = tuple(f"TCGA_{name}_{n:04d}_1" for name, count in (("CS", 8), ("DU", 16), ("HT", 4)) for n in range(count))
    for which in range(1, 5):
        held = fold_of(split_of(cases), Fold(which, 4)).validation
        assert [sum(f"_{name}_" in case for case in held) for name in ("CS", "DU", "HT")] == [2, 4, 1]


def test_slices_can_be_dealt_into_folds_too() -> None:
    slices = tuple(f"TCGA_CS_0001_1/{number}" for number in range(6))
    fold = fold_of(split_of(slices, by="slice"), Fold(1, 2))
    assert len(fold.train) == len(fold.validation) == 3
    assert {case_of(member) for member in fold.train} == {"TCGA_CS_0001_1"}


@pytest.mark.parametrize("text", ["", "1", "1/", "/2", "0/4", "5/4", "1/1", "-1/4", "1/2/3", "a/b", "1.0/2"])
def test_there_are_no_other_folds(text: str) -> None:
    with pytest.raises(SettingsError, match="expected K/N"):
        Fold.parse(text)


def test_a_fold_needs_as_many_cases_as_parts() -> None:
    assert Fold.parse("2/3") == Fold(2, 3)
    with pytest.raises(SettingsError, match="only 2"):
        fold_of(split_of(("TCGA_CS_0001_1", "TCGA_CS_0002_1")), Fold(1, 3))


def test_a_run_knows_its_cases_and_those_of_its_start(smoke_run: Path, tmp_path: Path) -> None:
    split = read_split(smoke_run / "split.json")
    assert cases_seen(smoke_run / "last.ckpt") == frozenset(split.train)
    write_split(split, tmp_path / "split.json")
    (tmp_path / "start.json").write_text(json.dumps({"kind": "network", "cases": ["TCGA_XX_1_1"]}))
    assert cases_seen(tmp_path / "last.ckpt") == frozenset(split.train) | {"TCGA_XX_1_1"}
    assert cases_seen(tmp_path / "elsewhere" / "last.ckpt") is None
    assert cases_seen("imagenet") is None


def test_a_release_knows_its_cases_by_its_card(release: Path, tmp_path: Path) -> None:
    card = read_card(release)
    expected = frozenset(card.data["train"])
    assert expected
    assert cases_seen(release) == cases_seen(release / "weights.safetensors") == expected
    replace(card, data={}).write(tmp_path)  # as an imported checkpoint's
    assert cases_seen(tmp_path) is None


def test_cases_that_choose_or_judge_must_not_have_been_seen() -> None:
    split = split_of(("TCGA_CS_0001_1",))
    check_unseen("weights", frozenset(split.train), split)
    with pytest.raises(LeakError, match=r"weights was trained on 1 cases of this validation side, TCGA_CS_8000"):
        check_unseen("weights", frozenset(split.validation), split)
    with pytest.raises(LeakError, match="2 cases of this test side"):
        check_unseen("weights", frozenset(TEST), split)


@pytest.mark.parametrize("option", ["--init", "--teacher"])
def test_training_refuses_weights_that_have_seen_what_judges(
    option: str, smoke_run: Path, phantoms: Path, tmp_path: Path
) -> None:
    """A fold leaves out cases that the whole run has trained on."""
    changes = {"loss.teacher": 1.0} if option == "--teacher" else {}
    recipe = changed_recipe("smoke", tmp_path / "recipe.yaml", changes)
    done = call(
        "train", "--run", tmp_path / "run", "--recipe", recipe, "--data", phantoms, "--accelerator", "cpu",
        "--fold", "1/2", option, smoke_run / "last.ckpt",
    )  # fmt: skip
    assert done.code == 1
    assert "validation side" in done.error
    assert "Traceback" not in done.error
    assert not (tmp_path / "run" / "last.ckpt").exists()


def test_a_fold_trains_without_what_it_is_judged_by(smoke_run: Path, phantoms: Path, tmp_path: Path) -> None:
    machine = ("--data", phantoms, "--accelerator", "cpu", "--threads", "1", "--split", smoke_run / "split.json")
    done = call("train", "--run", tmp_path, "--recipe", "smoke", "--fold", "2/3", *machine)
    assert done.code == 0, done.error
    whole, fold = read_split(smoke_run / "split.json"), read_split(tmp_path / "split.json")
    assert fold == fold_of(whole, Fold(2, 3))
    assert not set(whole.validation) & {*fold.train, *fold.validation}
    other = call("train", "--run", tmp_path, "--recipe", "smoke", "--fold", "1/3", *machine)
    assert other.code == 1
    assert "begun with another split" in other.error
    wrong = call("train", "--run", tmp_path / "new", "--recipe", "smoke", "--fold", "3", *machine)
    assert wrong.code == 1
    assert "expected K/N" in wrong.error


def test_weights_of_unknown_cases_are_taken_with_a_warning(release: Path, phantoms: Path, tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes((release / "weights.safetensors").read_bytes())  # without its card
    machine = ("--data", phantoms, "--accelerator", "cpu", "--threads", "1")
    done = call("train", "--run", tmp_path / "run", "--recipe", "smoke", "--init", weights, *machine)
    assert done.code == 0, done.error
    assert "nothing tells which cases it was trained on" in done.error


def test_a_split_that_leaks_anyway_takes_its_own_weights(phantoms: Path, tmp_path: Path) -> None:
    changes = {"split.by": "slice", "sampling.stages": [{"epochs": 1, "window": [64, 64]}]}
    recipe = changed_recipe("smoke", tmp_path / "leaking.yaml", changes)
    machine = ("--recipe", recipe, "--data", phantoms, "--accelerator", "cpu", "--threads", "1")
    first = call("train", "--run", tmp_path / "first", *machine)
    assert first.code == 0, first.error
    more = call("train", "--run", tmp_path / "more", "--init", tmp_path / "first" / "last.ckpt", *machine)
    assert more.code == 0, more.error
