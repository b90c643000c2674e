"""A refit: trained on the validation cases too, with the settings that its twin chose on them."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.card import ModelCard, read_card
from settings.mapping import SettingsError
from tests.training.conftest import NO_PROGRESS, call, changed_recipe
from training.data.seen import cases_seen
from training.data.split import Fold, Split, check, read_split, refit_of
from training.fit.refit import RefitError, read_twin
from training.fit.run import Sides
from training.release.publish import Order, publish

pytestmark = pytest.mark.training

names = st.lists(st.integers(0, 99).map(lambda n: f"TCGA_CS_{n:04d}_1"), unique=True, max_size=20)


@given(names=names, data=st.data())
def test_a_refit_never_trains_on_what_judges(names: list[str], data: st.DataObject) -> None:
    ends = sorted(data.draw(st.tuples(*[st.integers(0, len(names))] * 2)))
    split = Split("case", 1, tuple(names[: ends[0]]), tuple(names[ends[0] : ends[1]]), tuple(names[ends[1] :]))
    refit = refit_of(split)
    check(refit)
    assert refit.test == split.test
    assert refit.validation == ()
    assert sorted(refit.train) == sorted(split.train + split.validation)


@pytest.fixture(scope="module")
def refit_run(smoke_run: Path, phantoms: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("refit") / "run"
    done = call(
        "train", "--run", folder, "--recipe", "smoke", "--data", phantoms, "--split", smoke_run / "split.json",
        "--refit", "--accelerator", "cpu", "--threads", "1",
    )  # fmt: skip
    assert done.code == 0, done.error
    return folder


def test_a_refit_trains_on_all_but_the_test_cases(refit_run: Path, smoke_run: Path) -> None:
    whole = read_split(smoke_run / "split.json")
    assert whole.validation
    assert read_split(refit_run / "split.json") == refit_of(whole)
    assert cases_seen(refit_run / "last.ckpt") == {*whole.train, *whole.validation}
    assert not (refit_run / "best.ckpt").exists()  # nothing could say which was


def test_its_release_has_the_settings_of_the_twin(
    refit_run: Path, release: Path, phantoms: Path, tmp_path: Path
) -> None:
    out = tmp_path / "brainseg-0.2"
    done = call(
        "release", refit_run / "last.ckpt", "--version", "0.2", "--out", out, "--data", phantoms, "--twin", release
    )
    assert done.code == 0, done.error
    assert "samples: " in done.out
    card, twin = read_card(out), read_card(release)
    for setting in ("threshold", "min_lesion_pixels", "calibration", "crop"):
        assert getattr(card, setting) == getattr(twin, setting)
    assert card.weights.sha256 != twin.weights.sha256
    assert card.data["validation"] == []
    assert card.data["twin"] == {"weights": twin.weights.sha256, **{s: twin.data[s] for s in ("train", "validation")}}
    # The figures on validation cases are the twin's and say so; those on test cases are of these weights.
    assert card.metrics["validation"]["figures"] == twin.metrics["validation"]["figures"]
    assert twin.weights.sha256 in card.metrics["validation"]["note"]
    assert card.metrics["threshold"] == twin.metrics["threshold"]
    own, other = (json.loads((folder / "report.json").read_text()) for folder in (out, release))
    assert own["validation"] == other["validation"]
    assert own["choices"] == other["choices"]
    assert own["test"]["model"].startswith("brainseg 0.2")
    assert own["test"] != other["test"]
    judged = call("evaluate", out, "--side", "validation", "--data", phantoms, "--out", tmp_path / "report")
    assert judged.code == 1  # it has been trained on them
    assert "the split has no such case" in judged.error
    assert (out / "report.html").exists()
    publish(Order(refit_run / "last.ckpt", "0.2", out, judge_test=False, twin=release), phantoms, NO_PROGRESS)
    assert not (out / "report.html").exists()  # it was of figures that are no longer there


def test_without_a_twin_nothing_could_choose(refit_run: Path, phantoms: Path, tmp_path: Path) -> None:
    done = call("release", refit_run / "last.ckpt", "--version", "0.2", "--out", tmp_path / "r", "--data", phantoms)
    assert done.code == 1
    assert "--twin FOLDER" in done.error
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"recipe": {"seed": 999}}, "recipe, length or start"),
        ({"recipe": {"epochs_trained": 2}}, "recipe, length or start"),
        ({"data": {"train": []}}, "training cases"),
        ({"data": {"test": []}}, "test cases"),
        ({"data": {"validation": []}}, "chose nothing"),  # a refit itself
    ],
)
def test_a_release_of_another_training_is_no_twin(
    changes: dict[str, dict[str, Any]], said: str, refit_run: Path, release: Path, phantoms: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(release, other)
    card = read_card(other)
    replace(card, **{name: {**getattr(card, name), **change} for name, change in changes.items()}).write(other)
    with pytest.raises(RefitError, match=said):
        publish(
            Order(refit_run / "last.ckpt", "0.2", tmp_path / "r", judge_test=False, twin=other), phantoms, NO_PROGRESS
        )


def test_a_refit_may_treat_apart_what_its_twin_never_saw(release: Path, tmp_path: Path) -> None:
    twin = read_card(release)
    known, unknown = twin.data["train"], twin.data["validation"]
    split = Split("case", 1, (*known, *unknown), (), tuple(twin.data["test"]))

    def trained(new: list[str], times: int) -> ModelCard:
        start = {**twin.recipe["start"], **({"new": new} if new else {})}
        return replace(twin, recipe={**twin.recipe, "new_cases": {"times": times, "taught": False}, "start": start})

    assert read_twin(release, trained(unknown, 3), split).card == twin
    with pytest.raises(RefitError, match="new cases treated apart differ"):
        read_twin(release, trained([*known[:1], *unknown], 3), split)
    # Where the twin had new cases as well, both have to treat them alike.
    other = tmp_path / "other"
    shutil.copytree(release, other)
    trained(known[:1], 3).write(other)
    assert read_twin(other, trained([*known[:1], *unknown], 3), split).card.weights == twin.weights
    for differs in (trained([*known[:1], *unknown], 2), trained(unknown, 3)):
        with pytest.raises(RefitError, match="new cases treated apart differ"):
            read_twin(other, differs, split)


def test_a_run_that_can_choose_takes_no_twin(smoke_run: Path, release: Path, phantoms: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="validation cases of its own"):
        publish(Order(smoke_run / "last.ckpt", "0.2", tmp_path / "r", twin=release), phantoms, NO_PROGRESS)


def test_a_refit_is_no_fold_and_stops_at_nothing(phantoms: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--fold or --refit"):
        Sides(fold=Fold(1, 2), refit=True)
    early = changed_recipe("smoke", tmp_path / "early.yaml", {"validation.patience": 2})
    done = call("train", "--run", tmp_path / "run", "--recipe", early, "--data", phantoms, "--refit")
    assert done.code == 1
    assert "set patience to null" in done.error
