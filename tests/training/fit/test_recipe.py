import math
from dataclasses import asdict
from pathlib import Path

import pytest

from settings.mapping import SettingsError, Within, from_mapping
from tests.training.conftest import changed_recipe
from training.fit.recipe import RECIPES, Recipe, load_recipe
from training.fit.schedule import factor


@pytest.mark.parametrize("name", sorted(path.stem for path in RECIPES.glob("*.yaml")))
def test_every_recipe_loads_and_survives_a_round_trip(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert from_mapping(Recipe, asdict(recipe), "again") == recipe


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("optimiser.encoderlr", 1.0, "unknown setting encoderlr"),
        ("sampling.batch_size", "eight", "expected int"),
        ("sampling.batch_size", True, "expected int"),
        ("optimiser.name", "sgd", "expected one of adam, adamw"),
        ("model.mean", [0.5, 0.5], "3 input.sequences .*'mean': 2"),
        ("model.height", 100, "multiples of 32"),
        ("split.test", 0.5, "add up"),
        ("sampling.stages", [], "no epoch"),
        ("loss", 3, "expected a mapping"),
        ("loss.temperature", 0, "above 0"),
        ("new_cases", {"times": 0}, "1 or more"),
        ("optimiser.decoder_lr", -0.001, "expected 0 or more"),
        ("optimiser.decoder_lr", float("inf"), "finite"),
        ("optimiser.ema", 1.0, "from 0 and below 1"),
        ("optimiser.clip_norm", 0, "above 0"),
        ("loss.bce", float("nan"), "finite"),
        ("loss", {"bce": 0, "batch_dice": 0}, "no part with a weight above 0"),
        ("augment.flip", 5, "from 0 to 1"),
        ("augment.scale_percent", 100, "below 100"),
        ("model.std", [0.2, 0, 0.2], r"std\[1\]: got 0, expected a number above 0"),
        ("model.height", -32, "1 or more"),
        ("model.decoder_channels", [32, 16, 0], "1 or more"),
        ("sampling.batch_size", 0, "1 or more"),
        ("sampling.tumour_share", 50, "from 0 to 1"),
        ("sampling.stages", [{"epochs": 3}, {"epochs": -1}], r"stages\[1\].epochs: got -1"),
        ("validation", {"patience": 0}, "1 or more"),
    ],
)
def test_a_wrong_recipe_says_what_is_wrong(tmp_path: Path, key: str, value: object, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load_recipe(str(changed_recipe("smoke", tmp_path / "changed.yaml", {key: value})))


@pytest.mark.parametrize(
    ("bounds", "kept", "broken", "said"),
    [
        (Within(0), [0, 1e9], [-1e-9], "0 or more"),
        (Within(0, above=True), [1e-9], [0, -1], "a number above 0"),
        (Within(0, 1), [0, 0.5, 1], [-0.1, 1.1], "a number from 0 to 1"),
        (Within(0, 1, below=True), [0, 0.999], [1], "a number from 0 and below 1"),
        (Within(0, 1, above=True), [0.001, 1], [0], "a number above 0 to 1"),
    ],
)
def test_bounds(bounds: Within, kept: list[float], broken: list[float], said: str) -> None:
    assert all(map(bounds.admits, kept))
    assert not any(map(bounds.admits, [*broken, math.nan, math.inf, -math.inf]))
    assert str(bounds) == said


def test_an_unknown_recipe_lists_the_known() -> None:
    with pytest.raises(SettingsError, match=r"cpu.*smoke"):
        load_recipe("nonesuch")


def test_stages_follow_each_other() -> None:
    recipe = load_recipe("smoke")
    assert [recipe.stage_of(epoch).freeze_batchnorm for epoch in range(4)] == [False, False, True, True]


def test_schedules_peak_and_fall() -> None:
    assert factor("constant", 7, 10, 0.1) == 1
    assert factor("onecycle", 0, 100, 0.1) == pytest.approx(0.04)
    assert factor("onecycle", 10, 100, 0.1) == pytest.approx(1)
    assert factor("onecycle", 100, 100, 0.1) < 1e-3
    assert factor("cosine", 0, 100, 0.1) == 1
    assert factor("cosine", 50, 100, 0.1) == pytest.approx(0.5, abs=1e-3)
