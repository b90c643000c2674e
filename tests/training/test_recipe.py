from dataclasses import asdict
from pathlib import Path

import pytest

from tests.training.conftest import changed_recipe
from training.recipe import RECIPES, Recipe, load_recipe
from training.schedule import factor
from training.settings import SettingsError, from_mapping


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
        ("model.mean", [0.5, 0.5], "got 2 values, expected 3"),
        ("model.height", 100, "multiples of 32"),
        ("split.test", 0.5, "add up"),
        ("sampling.stages", [], "no epoch"),
        ("loss", 3, "expected a mapping"),
        ("loss.temperature", 0, "above 0"),
        ("new_cases", {"times": 0}, "1 or more"),
    ],
)
def test_a_wrong_recipe_says_what_is_wrong(tmp_path: Path, key: str, value: object, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load_recipe(str(changed_recipe("smoke", tmp_path / "changed.yaml", {key: value})))


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
