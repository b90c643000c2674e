"""A network of one sequence, trained, released, packaged, and asked."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
import torch

from archive.convert import REFERENCE
from handler.card import read_card
from handler.pipeline import answer, open_model
from samples.make import FOLDER, LESION
from settings.mapping import SettingsError
from tests.tiny import package_quietly
from tests.training.conftest import NO_PROGRESS, call, changed_recipe
from training.data.split import read_split
from training.fit.architecture import architecture_of, network_of
from training.fit.recipe import load_recipe
from training.release.publish import Order, publish

pytestmark = pytest.mark.training
ONE = {"model.sequences": ["flair"], "model.mean": [0.456], "model.std": [0.224]}


def test_from_the_recipe_to_an_answer(phantoms: Path, tmp_path: Path) -> None:
    stages = [{"epochs": 1, "window": [64, 64]}]
    recipe = changed_recipe("smoke", tmp_path / "one.yaml", {**ONE, "sampling.stages": stages})
    run = tmp_path / "run"
    done = call("train", "--run", run, "--recipe", recipe, "--data", phantoms, "--accelerator", "cpu", "--threads", "1")
    assert done.code == 0, done.error
    label = architecture_of(load_recipe(str(recipe))).label
    assert f"rehearsed: {label} can be packaged" in done.error.replace("\n", " ")
    release = tmp_path / "brainseg-0.1"
    card = publish(Order(run / "last.ckpt", "0.1", release), phantoms, NO_PROGRESS)
    assert json.loads((release / "model-card.json").read_text())["input"]["sequences"] == ["flair"]
    assert card.architecture.in_channels == 1
    assert card.recipe["run"] == "run"
    assert tuple(card.data["test"]) == read_split(run / "split.json").test
    packaged = package_quietly(release, tmp_path / "brainseg-0.1.mar")
    assert packaged.parity["ncnn"]["within"]
    with zipfile.ZipFile(tmp_path / "brainseg-0.1.mar") as archive:
        archive.extractall(tmp_path / "unpacked")
    assert read_card(tmp_path / "unpacked").input.sequences == ("flair",)
    body = (FOLDER / LESION).read_bytes()
    for engine in ("ncnn", REFERENCE):
        assert answer(open_model(tmp_path / "unpacked", engine, 1), {"body": body}, {}).code == "ok"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model.sequences": ["flair"]}, r"model: 1 input.sequences \(flair\), but .*'mean': 3"),
        ({**ONE, "model.sequences": ["t2"]}, "model: input.sequences .'t2'.: expected one or more of t1, flair, t1c"),
    ],
)
def test_a_recipe_that_contradicts_itself(changes: dict[str, object], said: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=said):
        load_recipe(str(changed_recipe("smoke", tmp_path / "wrong.yaml", changes)))


def test_decoders_by_recipe(tmp_path: Path) -> None:
    """One that has widths of its own says so, before anything is trained."""
    wrong = changed_recipe("smoke", tmp_path / "wrong.yaml", {"model.decoder": "fpn"})
    with pytest.raises(SettingsError, match=r"decoder_channels \[32, 16, 16, 8, 8\] of a fpn: expected \[\]"):
        network_of(load_recipe(str(wrong)))
    right = changed_recipe("smoke", tmp_path / "fpn.yaml", {"model.decoder": "fpn", "model.decoder_channels": []})
    recipe = load_recipe(str(right))
    assert architecture_of(recipe).label == f"fpn-{recipe.model.encoder}"
    assert network_of(recipe)(torch.zeros(2, 3, 64, 96)).shape == (2, 1, 64, 96)
    with pytest.raises(SettingsError, match="decoder 'unets': expected one of unet, unetplusplus"):
        network_of(load_recipe(str(changed_recipe("smoke", tmp_path / "no.yaml", {"model.decoder": "unets"}))))
