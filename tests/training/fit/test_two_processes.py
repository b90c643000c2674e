"""Two processes on one machine: half the draws each, one network, one validation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.conftest import call
from training.data.cases import find_pairs
from training.data.dataset import WholeSlices
from training.data.slices import load_slice
from training.data.split import Split, read_split
from training.fit.architecture import input_spec
from training.fit.module import SegmentationModule
from training.fit.recipe import load_recipe
from training.judge.page import read_log

pytestmark = pytest.mark.training

SMOKE = load_recipe("smoke")


def test_two_processes_train_together(phantoms: Path, tmp_path: Path) -> None:
    done = call(
        "train", "--run", tmp_path / "run", "--recipe", "smoke", "--data", phantoms,
        "--accelerator", "cpu", "--devices", "2", "--threads", "1",
    )  # fmt: skip
    assert done.code == 0, done.error
    # Two processes with half the draws each: half the steps of one process.
    content = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    assert content["epoch"] + 1 == SMOKE.epochs
    steps = SMOKE.epochs * 24 // (2 * SMOKE.sampling.batch_size)
    assert content["global_step"] == steps
    assert done.error.count(f"training: {steps} of {steps}, ") == 1  # one of the two says how far both are
    logged = [row for row in read_log(tmp_path / "run" / "logs" / "metrics.csv") if "val/dice" in row][-1]
    expected = scores_of(content["state_dict"], phantoms, read_split(tmp_path / "run" / "split.json"))
    assert (logged["val/dice"], logged["val/specificity"]) == pytest.approx(expected, abs=1e-3)


def scores_of(state: dict[str, torch.Tensor], phantoms: Path, split: Split) -> tuple[float, float]:
    """Dice over tumour slices, and the share of others left empty, of the validation slices all together."""
    module = SegmentationModule(SMOKE, total_steps=4)
    module.load_state_dict(state)
    dice, silent = [], []
    for item in (load_slice(pair) for pair in split.select(find_pairs(phantoms).pairs, "validation")):
        image, truth = WholeSlices([item], input_spec(SMOKE))[0]
        with torch.inference_mode():
            found = module.averaged.module.eval()(image[None])[0] > 0
        if item.tumour_pixels:
            dice.append(float(2 * (found & (truth > 0)).sum() / (found.sum() + truth.sum())))
        else:
            silent.append(float(not found.any()))
    return float(np.mean(dice)), float(np.mean(silent))
