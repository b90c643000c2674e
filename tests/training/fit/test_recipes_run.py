"""Whole runs of recipes other than smoke, cut down to the size of the phantoms."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.conftest import call, changed_recipe
from training.data.split import read_split
from training.fit.recipe import load_recipe
from training.release.card import read_checkpoint

pytestmark = pytest.mark.training


def test_the_published_recipe_trains(phantoms: Path, tmp_path: Path) -> None:
    """As published but for the size of the phantoms and the number of epochs."""
    recipe = load_recipe("published")
    assert (recipe.loss.pos_weight, recipe.loss.bce, recipe.loss.batch_dice) == (3.0, 1.0, 1.0)
    assert (recipe.optimiser.name, recipe.optimiser.encoder_lr, recipe.optimiser.decoder_lr) == ("adam", 1e-5, 5e-4)
    assert (recipe.optimiser.schedule, recipe.sampling.batch_size) == ("cosine", 16)
    assert (recipe.validation.patience, recipe.split.by, recipe.split.train) == (7, "slice", 0.8)
    changes = {"model.height": 64, "model.width": 64, "sampling.stages": [{"epochs": 1}]}
    path = changed_recipe("published", tmp_path / "published.yaml", changes)
    run = tmp_path / "run"
    done = call("train", "--run", run, "--recipe", path, "--data", phantoms, "--accelerator", "cpu", "--threads", "1")
    assert done.code == 0, done.error
    assert read_split(run / "split.json").leaks
    assert read_checkpoint(run / "last.ckpt").epochs == 1
