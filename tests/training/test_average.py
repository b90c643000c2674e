"""The mean of runs that started alike: its weights, its record, and what is refused."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from tests.training.conftest import call
from training.average import average, mean_of
from training.recipe import RECIPES
from training.run import RunError
from training.seen import cases_seen
from training.split import Fold, fold_of, read_split, write_split
from training.start import checkpoint_state


def test_the_mean_is_taken_tensor_by_tensor() -> None:
    states = [{"weight": torch.tensor([1.0, 2.0]), "steps": torch.tensor(n)} for n in (3, 9)]
    states[1]["weight"] = torch.tensor([3.0, -2.0])
    mean = mean_of(states)
    assert mean["weight"].tolist() == [2.0, 0.0]
    assert mean["steps"].item() == 3


@pytest.fixture(scope="module")
def siblings(smoke_run: Path, phantoms: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Checkpoints of two runs that went on from the smoke run with other draws."""
    folder = tmp_path_factory.mktemp("siblings")
    content = yaml.safe_load((RECIPES / "smoke.yaml").read_text("utf-8"))
    content["sampling"]["stages"] = [{"epochs": 1, "window": [64, 64]}]
    checkpoints = []
    for seed in (5, 6):
        recipe = folder / f"{seed}.yaml"
        recipe.write_text(yaml.safe_dump({**content, "seed": seed}))
        done = call(
            "train", "--run", folder / str(seed), "--recipe", recipe, "--data", phantoms, "--accelerator", "cpu",
            "--threads", "1", "--init", smoke_run / "last.ckpt", "--split", smoke_run / "split.json",
        )  # fmt: skip
        assert done.code == 0, done.error
        checkpoints.append(folder / str(seed) / "last.ckpt")
    return checkpoints


def test_an_average_is_judged_and_released_as_a_run(siblings: list[Path], phantoms: Path, tmp_path: Path) -> None:
    done = call("average", *siblings, "--run", tmp_path / "mean")
    assert done.code == 0, done.error
    states = [checkpoint_state(path) for path in (*siblings, tmp_path / "mean" / "last.ckpt")]
    for name, tensor in states[2].items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, (states[0][name] + states[1][name]) / 2)
    assert any(not torch.equal(states[0][name], states[2][name]) for name in states[2])
    assert cases_seen(tmp_path / "mean" / "last.ckpt") == frozenset(read_split(siblings[0].parent / "split.json").train)
    released = call(
        "release", tmp_path / "mean" / "last.ckpt", "--data", phantoms, "--version", "0.2", "--out", tmp_path / "out"
    )
    assert released.code == 0, released.error
    start = json.loads((tmp_path / "out" / "model-card.json").read_text())["recipe"]["start"]
    assert start["kind"] == "average"
    assert [member["seed"] for member in start["members"]] == [5, 6]
    assert {member["start"]["name"] for member in start["members"]} == {"run/last.ckpt"}
    again = call("average", *siblings, "--run", tmp_path / "mean")
    assert again.code == 1
    assert "not empty" in again.error


def test_what_cannot_be_averaged_is_refused(siblings: list[Path], smoke_run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="at least two"):
        average(siblings[:1], tmp_path / "new")
    with pytest.raises(RunError, match="started from different weights"):
        average([siblings[0], smoke_run / "last.ckpt"], tmp_path / "new")
    shutil.copytree(siblings[1].parent, tmp_path / "other")
    split = read_split(siblings[1].parent / "split.json")
    write_split(fold_of(split, Fold(1, 2)), tmp_path / "other" / "split.json")
    with pytest.raises(RunError, match="another split"):
        average([siblings[0], tmp_path / "other" / "last.ckpt"], tmp_path / "new")
    for name in ("start.json", "split.json"):
        (tmp_path / "other" / name).unlink()
        if name == "start.json":
            shutil.copyfile(siblings[1].parent / "split.json", tmp_path / "other" / "split.json")
        with pytest.raises(RunError, match=name):
            average([siblings[0], tmp_path / "other" / "last.ckpt"], tmp_path / "new")
    assert not (tmp_path / "new").exists()
