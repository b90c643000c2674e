"""Training of several classes: the loss by hand, what recipes are refused, and a whole run on phantoms."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from handler.labels import SIGMOID, SOFTMAX, Labelling
from settings.mapping import SettingsError
from tests.labelled import LABELS, REGIONS
from tests.training.conftest import call, changed_recipe
from training.data.phantom_volumes import write_phantom_volumes
from training.data.split import read_split
from training.fit.architecture import architecture_of, network_of
from training.fit.recipe import LossRecipe, load_recipe
from training.fit.region_loss import RegionLoss, found_in, truth_of
from training.fit.start import encoder_state

WRITES = {"whole tumour": 2, "tumour core": 1, "enhancing tumour": 3}
TARGET = torch.tensor([[[[0, 1, 2, 3], [2, 2, 0, 3]]]]).float()


def labelling(activation: str) -> Labelling:
    return Labelling(LABELS, REGIONS[activation], activation)


def certain(activation: str, target: torch.Tensor) -> torch.Tensor:
    """Logits of a network that is sure of `target`."""
    if activation == SOFTMAX:
        return 20 * torch.nn.functional.one_hot(target[:, 0].long(), 4).permute(0, 3, 1, 2).float()
    return 40 * truth_of(target, labelling(activation)).float() - 20


@pytest.mark.parametrize("activation", [SOFTMAX, SIGMOID])
def test_loss_is_low_when_right_and_high_when_labels_are_swapped(activation: str) -> None:
    loss = RegionLoss(LossRecipe(), labelling(activation))
    right = loss(certain(activation, TARGET), TARGET)
    swapped = torch.where(TARGET == 1, 3.0, torch.where(TARGET == 3, 1.0, TARGET))
    assert right < 1e-3
    assert loss(certain(activation, swapped), TARGET) > 1
    assert loss(certain(activation, torch.zeros_like(TARGET)), TARGET) > 1
    with pytest.raises(ValueError, match="teachers"):
        loss(certain(activation, TARGET), TARGET, guide=TARGET)


def test_dice_of_softmax_leaves_none_out_and_of_sigmoid_is_of_regions() -> None:
    flat = torch.zeros(1, 4, 2, 4)
    # A quarter of probability each, 8 pixels: (2 * n / 4 + 1) / (2 + n + 1) for labels of 1, 3 and 2 pixels.
    want = np.mean([(2 * n / 4 + 1) / (2 + n + 1) for n in (1, 3, 2)])
    found = RegionLoss(LossRecipe(bce=0), labelling(SOFTMAX))(flat, TARGET)
    assert float(found) == pytest.approx(1 - want)
    want = np.mean([(2 * n / 2 + 1) / (4 + n + 1) for n in (6, 3, 2)])  # whole, core, enhancing
    found = RegionLoss(LossRecipe(bce=0), labelling(SIGMOID))(flat[:, :3], TARGET)
    assert float(found) == pytest.approx(1 - want)


@pytest.mark.parametrize("activation", [SOFTMAX, SIGMOID])
def test_what_is_found_is_judged_by_region(activation: str) -> None:
    truth = truth_of(TARGET, labelling(activation))
    assert truth.sum((0, 2, 3)).tolist() == [6, 3, 2]
    assert torch.equal(found_in(certain(activation, TARGET), labelling(activation)), truth)


def test_a_region_is_found_above_its_own_threshold() -> None:
    regions = tuple(replace(region, threshold=0.8) for region in REGIONS[SIGMOID])
    logits = torch.full((1, 3, 1, 1), 1.0)  # 0.73
    assert found_in(logits, labelling(SIGMOID)).all()
    assert not found_in(logits, Labelling(LABELS, regions, SIGMOID)).any()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("labels", [], "regions and masks are of labels"),
        ("masks", [[1, 1], [2, 2]], "each label"),
        ("masks", [[1, 1], [1, 2], [4, 3]], "each value once"),
        ("masks", [[1, 1], [2, 2], [4, 5]], "each label"),
        ("activation", "sigmoid", "regions write"),
        ("activation", "relu", "expected one of softmax, sigmoid"),
        ("regions", [{"name": "whole", "labels": [7]}], "labels .7. of region whole"),
        ("patients", [["a", "b"], ["b", "c"]], "two of the lists"),
        ("loss.teacher", 1.0, "loss.teacher: not with labels"),
        ("augment.transplant", 0.5, "augment.transplant: not with labels"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(tmp_path: Path, key: str, value: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load_recipe(str(changed_recipe("smoke-regions", tmp_path / "recipe.yaml", {key: value})))


def test_the_network_has_a_channel_a_label_or_a_region(tmp_path: Path) -> None:
    recipe = load_recipe("smoke-regions")
    assert architecture_of(recipe).classes == 4
    regions = [
        {"name": one.name, "labels": list(one.labels), "writes": WRITES[one.name], "threshold": 0.4}
        for one in recipe.regions
    ]
    changes = {"activation": "sigmoid", "regions": regions}
    assert architecture_of(load_recipe(str(changed_recipe("smoke-regions", tmp_path / "r.yaml", changes)))).classes == 3
    assert architecture_of(load_recipe("smoke")).classes == 1


def test_start_weights_of_three_channels_fit_a_network_of_two(tmp_path: Path) -> None:
    two, three = load_recipe("smoke-regions"), load_recipe("smoke")
    state = {k.removeprefix("encoder."): v for k, v in network_of(three).state_dict().items() if "encoder." in k}
    save_file({k: v.contiguous() for k, v in state.items()}, tmp_path / "e.safetensors")
    network = network_of(two)
    got = encoder_state(network, str(tmp_path / "e.safetensors"), two.model.encoder, ("flair", "t1c"))
    name = "model.conv_stem.weight"
    assert torch.allclose(got[f"encoder.{name}"], state[name][:, 1:] * 1.5)
    network.load_state_dict(got)


@pytest.mark.training
@pytest.mark.parametrize("activation", [SOFTMAX, SIGMOID])
def test_a_run_on_phantoms_learns_and_keeps_its_split(activation: str, tmp_path: Path) -> None:
    write_phantom_volumes(tmp_path / "data", size=32, slices=12)
    changes: dict[str, Any] = {"activation": activation, "sampling.samples_per_epoch": 48}
    if activation == SIGMOID:
        recipe = load_recipe("smoke-regions")
        changes["regions"] = [
            {"name": one.name, "labels": list(one.labels), "writes": WRITES[one.name]} for one in recipe.regions
        ]
    path = changed_recipe("smoke-regions", tmp_path / "recipe.yaml", changes)
    options = ("--data", tmp_path / "data", "--accelerator", "cpu", "--threads", "1")
    done = call("train", "--run", tmp_path / "run", "--recipe", path, *options)
    assert done.code == 0, done.error
    with (tmp_path / "run" / "logs" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    losses = [float(row["train/loss_epoch"]) for row in rows if row["train/loss_epoch"]]
    assert losses[-1] < 0.8 * losses[0]
    dice = [float(row["val/dice"]) for row in rows if row["val/dice"]]
    assert len(dice) == 3
    assert 0 <= dice[-1] <= 1
    split = read_split(tmp_path / "run" / "split.json")
    assert (len(split.train), len(split.validation), len(split.test)) == (4, 1, 1)
