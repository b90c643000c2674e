"""A run that was ended and is started again: as if it had never been ended, and never on with something else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from training.fit import run
from training.fit.diverged import TrainingDivergedError
from training.fit.machine import Machine
from training.fit.module import SegmentationModule
from training.fit.origin import RunError, Start
from training.fit.recipe import Recipe, Stage, load_recipe
from training.fit.run import train
from training.fit.start import load_checkpoint
from training.fit.told_to_end import StoppedError
from training.judge.page import read_log

pytestmark = pytest.mark.training

SMOKE = load_recipe("smoke")
MACHINE = Machine("cpu", threads=1, progress=False)
Go = Callable[[Recipe, Path], Path]


def short(epochs: int) -> Recipe:
    return replace(SMOKE, sampling=replace(SMOKE.sampling, samples_per_epoch=4, stages=(Stage(epochs, (64, 64)),)))


@pytest.fixture
def go(phantoms: Path) -> Go:
    return lambda recipe, folder: train(recipe, phantoms, folder, Start(), MACHINE)


def ended_before(epoch: int, go: Go, recipe: Recipe, folder: Path) -> None:
    """Trains, and is interrupted when `epoch` is to begin."""
    begin = SegmentationModule.on_train_epoch_start

    def interrupted(self: SegmentationModule) -> None:
        if self.current_epoch == epoch:
            raise KeyboardInterrupt
        begin(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SegmentationModule, "on_train_epoch_start", interrupted)
        with pytest.raises(StoppedError):
            go(recipe, folder)


def ended_within(epoch: int, go: Go, recipe: Recipe, folder: Path) -> None:
    """Trains, and is interrupted at the second step of `epoch`."""

    def interrupted(self: SegmentationModule, _outputs: object, _batch: object, index: int) -> None:
        if self.current_epoch == epoch and index == 1:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SegmentationModule, "on_train_batch_end", interrupted)
        with pytest.raises(StoppedError):
            go(recipe, folder)


def epoch_of(checkpoint: Path) -> int:
    return int(load_checkpoint(checkpoint)["epoch"])


def test_blocks_are_skipped_as_if_it_had_not_been_ended(go: Go, tmp_path: Path) -> None:
    """Stochastic depth draws from torch's generator, which is not in a checkpoint."""
    recipe = short(2)
    recipe = replace(recipe, model=replace(recipe.model, encoder="tu-tf_efficientnet_lite0", drop_path=0.5))
    go(recipe, tmp_path / "whole")
    ended_before(1, go, recipe, tmp_path / "ended")
    assert epoch_of(tmp_path / "ended" / "last.ckpt") == 0
    go(recipe, tmp_path / "ended")
    whole, ended = (load_checkpoint(tmp_path / run / "last.ckpt")["state_dict"] for run in ("whole", "ended"))
    assert whole.keys() == ended.keys()
    assert [name for name in whole if not torch.equal(whole[name], ended[name])] == []


def scoring(scores: list[float], patch: pytest.MonkeyPatch) -> None:
    """Makes the epochs' validations come out with these scores."""

    def scored(self: SegmentationModule) -> None:
        self._scores.clear()
        self.log("val/dice", scores[self.current_epoch])

    patch.setattr(SegmentationModule, "on_validation_epoch_end", scored)


def test_the_best_epoch_stays_the_best(go: Go, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scoring([0.5, 0.8, 0.6], monkeypatch)
    ended_before(2, go, short(3), tmp_path)
    assert epoch_of(tmp_path / "best.ckpt") == 1
    go(short(3), tmp_path)
    assert epoch_of(tmp_path / "last.ckpt") == 2
    assert epoch_of(tmp_path / "best.ckpt") == 1


def test_a_run_that_stopped_early_stays_stopped(go: Go, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scoring([0.5, 0.8, 0.7, 0.6, 0.9, 0.9], monkeypatch)
    recipe = replace(short(6), validation=replace(SMOKE.validation, patience=2))
    for _ in range(2):
        go(recipe, tmp_path)
        assert epoch_of(tmp_path / "last.ckpt") == 3
        assert epoch_of(tmp_path / "best.ckpt") == 1


def test_patience_is_not_forgotten(go: Go, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scoring([0.8, 0.7, 0.6, 0.9], monkeypatch)
    recipe = replace(short(4), validation=replace(SMOKE.validation, patience=2))
    ended_before(2, go, recipe, tmp_path)
    go(recipe, tmp_path)
    assert epoch_of(tmp_path / "last.ckpt") == 2


def test_the_step_that_was_one_too_far_reaches_no_checkpoint(go: Go, tmp_path: Path) -> None:
    """The loss before an epoch's last step is finite, the weights after it are worth nothing."""
    recipe = short(2)
    too_fast = replace(recipe.optimiser, encoder_lr=1e30, decoder_lr=1e30)
    with pytest.raises(TrainingDivergedError, match="begin a new run with --init"):
        go(replace(recipe, optimiser=too_fast), tmp_path)
    assert list(tmp_path.glob("*.ckpt")) == []


def test_it_does_not_go_on_with_other_start_weights(smoke_run: Path, phantoms: Path, tmp_path: Path) -> None:
    recipe, start = short(1), Start(network=str(smoke_run / "last.ckpt"))
    train(recipe, phantoms, tmp_path, start, MACHINE)
    for same in (start, Start()):
        train(recipe, phantoms, tmp_path, same, MACHINE)
    for other in (Start(network=str(tmp_path / "last.ckpt")), Start(encoder="imagenet"), Start(network="README.md")):
        with pytest.raises(RunError, match="begun with other start weights"):
            train(recipe, phantoms, tmp_path, other, MACHINE)


def test_the_log_stays_one_file_and_an_epoch_trained_again_stands_once(
    go: Go, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ended within an epoch, whose steps had been logged already; and the pieces of earlier builds are taken in."""
    monkeypatch.setattr(run, "LOG_EVERY", 1)
    recipe = replace(short(3), sampling=replace(short(3).sampling, samples_per_epoch=8))  # two steps an epoch
    ended_within(1, go, recipe, tmp_path)
    log = tmp_path / "logs" / "metrics.csv"
    assert {row["epoch"] for row in read_log(log) if "train/loss_step" in row} == {0, 1}
    log.rename(log.with_name("metrics-001.csv"))
    go(recipe, tmp_path)
    assert [path.name for path in log.parent.iterdir()] == ["metrics.csv"]
    rows = read_log(log)
    for name in ("train/loss_epoch", "val/dice"):
        assert [row["epoch"] for row in rows if name in row] == [0, 1, 2]
    steps = [row["step"] for row in rows if "train/loss_step" in row]
    assert steps == list(range(6))
