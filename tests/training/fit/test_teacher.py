"""Networks taught by others: what teachers are shown, what they answer, and what a run makes of it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from handler.card import Calibration, InputSpec, read_card
from handler.files import sha256_of
from handler.preprocess import normalise
from tests.training.conftest import call, changed_recipe
from training.fit.loss import SegmentationLoss
from training.fit.machine import Machine
from training.fit.origin import RunError, Start
from training.fit.recipe import LossRecipe, load_recipe
from training.fit.run import train
from training.fit.start import StartWeightsError
from training.fit.teacher import Teacher, Teachers, open_teacher

pytestmark = pytest.mark.training

OWN = InputSpec(height=32, width=32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
OTHER = InputSpec(height=32, width=32, mean=(0.4, 0.3, 0.2), std=(0.2, 0.3, 0.4))


class Sum(torch.nn.Module):
    """Answers `weight` times the sum of the channels it is shown."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.weight * images.sum(dim=1, keepdim=True)


def test_each_teacher_sees_the_sample_as_it_was_trained_to() -> None:
    unit = np.random.default_rng(0).random((2, 32, 32, 3)).astype(np.float32)
    teachers = Teachers([Teacher(Sum(1.0), OWN, "a"), Teacher(Sum(-0.5), OTHER, "b")], OWN, 2.0)
    found = teachers.probabilities(torch.from_numpy(normalise(unit, OWN.mean, OWN.std)))
    own, other = (normalise(unit, spec.mean, spec.std).sum(axis=1, keepdims=True) for spec in (OWN, OTHER))
    expected = torch.from_numpy((own - 0.5 * other) / (2 * 2.0)).sigmoid()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_teacher_of_another_size_is_refused() -> None:
    larger = replace(OWN, height=64)
    with pytest.raises(StartWeightsError, match="teacher b takes slices of 64x32 pixels and this recipe's are 32x32"):
        Teachers([Teacher(Sum(1.0), OWN, "a"), Teacher(Sum(1.0), larger, "b")], OWN, 2.0)


def test_teachers_are_calibrated_before_they_are_heard_together() -> None:
    images = torch.rand(2, 3, 8, 8)
    sure = Teacher(Sum(4.0), OWN, "sure", Calibration(scale=0.25, offset=-0.5))
    modest = Teacher(Sum(0.5), OWN, "modest", Calibration(scale=2.0))
    total = images.sum(dim=1, keepdim=True)
    found = Teachers([sure, modest], OWN, 1.5).probabilities(images)
    torch.testing.assert_close(found, ((2 * total - 0.5) / (2 * 1.5)).sigmoid())


def test_a_released_folder_teaches_as_its_card_calibrates_it(smoke_run: Path, release: Path) -> None:
    folder, checkpoint = open_teacher(str(release)), open_teacher(str(smoke_run / "last.ckpt"))
    assert folder.calibration == read_card(release).calibration != Calibration()
    assert checkpoint.calibration == Calibration()


def test_the_loss_is_least_where_pupil_and_teachers_agree() -> None:
    loss = SegmentationLoss(LossRecipe(bce=0.0, batch_dice=0.0, teacher=3.0))
    guide = torch.tensor([0.1, 0.5, 0.8]).reshape(1, 1, 1, 3)
    mask, logits = (guide > 0.5).float(), torch.logit(guide).requires_grad_()
    agreed = loss(logits, mask, guide)
    agreed.backward()
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-6
    assert loss(logits.detach() + 1, mask, guide) > agreed
    assert loss(logits.detach(), mask) == 0  # nobody was asked


def test_other_things_are_no_teachers(tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes(b"")
    with pytest.raises(StartWeightsError, match="released folder or a checkpoint"):
        open_teacher(str(tmp_path / "weights.safetensors"))


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recipe smoke with a single epoch and a use for teachers."""
    changes = {"loss.teacher": 5.0, "sampling.stages": [{"epochs": 1, "window": [64, 64]}]}
    return changed_recipe("smoke", tmp_path_factory.mktemp("recipe") / "taught.yaml", changes)


def test_a_run_names_its_teachers_and_resumes_with_no_others(
    smoke_run: Path, release: Path, phantoms: Path, taught: Path, tmp_path: Path
) -> None:
    machine = ("--data", phantoms, "--accelerator", "cpu", "--threads", "1")
    run = ("train", "--run", tmp_path / "run", "--recipe", taught, *machine)
    alone = call(*run)
    assert alone.code == 1
    assert "--teacher" in alone.error
    assert not (tmp_path / "run").exists()  # refused before anything is read or written

    teacher = smoke_run / "last.ckpt"
    done = call(*run, "--teacher", teacher, "--teacher", teacher)
    assert done.code == 0, done.error
    start = json.loads((tmp_path / "run" / "start.json").read_text())
    assert [one["name"] for one in start["teachers"]] == ["run/last.ckpt"] * 2
    assert start["teachers"][0]["sha256"] == sha256_of(teacher)

    other = call(*run, "--teacher", teacher)
    assert other.code == 1
    assert "other teachers" in other.error
    assert "Traceback" not in other.error

    def read() -> None:
        pytest.fail("a slice was read")

    with pytest.raises(RunError, match="other teachers"):
        train(
            load_recipe(str(taught)), phantoms, tmp_path / "run", Start(teachers=(str(release),)), Machine("cpu"), read
        )


def test_teachers_without_a_use_are_refused(smoke_run: Path, phantoms: Path, tmp_path: Path) -> None:
    done = call(
        "train", "--run", tmp_path, "--recipe", "smoke", "--data", phantoms, "--teacher", smoke_run / "last.ckpt"
    )
    assert done.code == 1
    assert "loss.teacher 0 and 1 teachers" in done.error


def test_what_teachers_think_depends_on_every_one(smoke_run: Path) -> None:
    one = open_teacher(str(smoke_run / "last.ckpt"))
    image = torch.randn(1, 3, 64, 64)
    alone = Teachers([one], one.input, 1.0).probabilities(image)
    mirrored = Teachers([one, replace(one, network=Sum(1.0))], one.input, 1.0).probabilities(image)
    assert not torch.equal(alone, mirrored)
    assert 0 < alone.min() <= alone.max() < 1
