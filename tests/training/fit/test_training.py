"""Training itself, on phantoms: whole runs by the command, and the pieces a run is made of."""

from __future__ import annotations

import csv
import json
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from archive.mar import package
from handler.card import Architecture, ModelCard
from handler.network import build
from settings.mapping import SettingsError
from tests.training.conftest import begin, call, first_checkpoint
from training.data.cases import find_pairs
from training.data.dataset import WholeSlices
from training.data.slices import load_slice
from training.data.split import Split, read_split
from training.fit import run as run_module
from training.fit.architecture import architecture_of, input_spec
from training.fit.diverged import TrainingDivergedError
from training.fit.loss import SegmentationLoss, soft_dice
from training.fit.module import SegmentationModule
from training.fit.origin import RunError
from training.fit.recipe import LossRecipe, Recipe, load_recipe
from training.fit.start import StartWeightsError, encoder_state, load_checkpoint, network_state, released_state
from training.judge.page import read_log
from training.judge.predictor import LocalPredictor, open_predictor
from training.release.card import Trained, card_of, read_checkpoint
from training.release.folder import write_release

pytestmark = pytest.mark.training

SMOKE = load_recipe("smoke")


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return released_state(load_checkpoint(run / "last.ckpt"))


def assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def test_loss_is_low_when_right_and_finite_at_extremes() -> None:
    target = torch.zeros(2, 1, 8, 8)
    target[0, :, 2:5, 2:5] = 1
    loss = SegmentationLoss(LossRecipe(pos_weight=3, slice_dice=0.5))
    right = loss(torch.where(target > 0, 20.0, -20.0), target)
    wrong = loss(torch.where(target > 0, -20.0, 20.0), target)
    assert right < 1e-3 < 10 < wrong < 1e3
    assert torch.isfinite(loss(torch.full_like(target, -1e4), torch.zeros_like(target)))


def test_slice_dice_weighs_slices_and_batch_dice_pixels() -> None:
    truth = torch.zeros(2, 1, 10, 10)
    truth[0, :, :9] = 1
    truth[1, :, 0, 0] = 1
    found = truth.clone()
    found[1] = 0
    assert soft_dice(found, truth, (0, 1, 2, 3)) > 0.99
    assert soft_dice(found, truth, (1, 2, 3)) == pytest.approx(0.75)


def test_a_run_leaves_checkpoints_split_recipe_and_logs(smoke_run: Path, phantoms: Path) -> None:
    for name in ("last.ckpt", "best.ckpt", "recipe.json", "split.json", "logs/metrics.csv"):
        assert (smoke_run / name).stat().st_size, name
    assert list((smoke_run / "tensorboard").glob("events.*"))
    split = read_split(smoke_run / "split.json")
    assert not set(split.train) & {*split.test, *split.validation}
    with (smoke_run / "logs" / "metrics.csv").open() as file:
        dice = [float(row["val/dice"]) for row in csv.DictReader(file) if row["val/dice"]]
    assert len(dice) == SMOKE.epochs


def test_a_finished_run_started_again_does_nothing(smoke_run: Path, phantoms: Path) -> None:
    before = weights_of(smoke_run)
    done = call(
        "train", "--run", smoke_run, "--recipe", "smoke", "--data", phantoms, "--accelerator", "cpu", "--threads", "1"
    )
    assert done.code == 0, done.error
    assert_equal(before, weights_of(smoke_run))


def test_another_recipe_in_the_same_folder_is_refused(smoke_run: Path, phantoms: Path) -> None:
    done = call("train", "--run", smoke_run, "--recipe", "cpu", "--data", phantoms)
    assert done.code == 1
    assert "begun with another recipe" in done.error
    assert "Traceback" not in done.error


def begun(recipe: Recipe, data: Path, folder: Path) -> Split:
    split = run_module.prepare(recipe, data, folder)
    run_module.begin(recipe, split, folder)
    return split


def test_a_run_begun_before_a_setting_was_known_goes_on(phantoms: Path, tmp_path: Path) -> None:
    begun(SMOKE, phantoms, tmp_path)
    written = tmp_path / "recipe.json"
    known = json.loads(written.read_text())
    del known["augment"]["transplant"]
    written.write_text(json.dumps(known))
    begun(SMOKE, phantoms, tmp_path)
    with pytest.raises(RunError, match="another recipe"):
        run_module.prepare(replace(SMOKE, augment=replace(SMOKE.augment, transplant=0.5)), phantoms, tmp_path)
    written.write_text(json.dumps({**known, "from_the_future": 1}))
    with pytest.raises(RunError, match="another recipe"):
        begun(SMOKE, phantoms, tmp_path)


def test_a_run_that_ended_while_it_was_begun_has_its_recipe(
    phantoms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By it alone its checkpoints are gone on with and judged."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    for name in ("write_atomic", "write_split"):
        run = tmp_path / name
        monkeypatch.setattr(f"training.fit.run.{name}", killed)
        with pytest.raises(KeyboardInterrupt):
            begun(SMOKE, phantoms, run)
        monkeypatch.undo()
        split = begun(SMOKE, phantoms, run)
        assert (run / "recipe.json").is_file()
        assert read_split(run / "split.json") == split


def test_a_killed_run_resumes_to_the_same_weights(smoke_run: Path, phantoms: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    arguments = ("--run", run, "--recipe", "smoke", "--data", phantoms, "--accelerator", "cpu", "--threads", "1")
    process = begin(tmp_path, "train", *arguments)
    first_checkpoint(run)
    process.kill()
    process.join()
    assert read_checkpoint(run / "last.ckpt").epochs < SMOKE.epochs, "the run was over before it was killed"
    done = call("train", *arguments)
    assert done.code == 0, done.error
    steps = SMOKE.epochs * 24 // SMOKE.sampling.batch_size
    assert f"training: {steps} of {steps}, 0:00:00 left, epoch 3 of 3, train/loss" in done.error
    assert "training: 6 of 18" not in done.error  # the first epoch was done before
    epochs = [row["epoch"] for row in read_log(run / "logs" / "metrics.csv") if "val/dice" in row]
    assert epochs == list(range(SMOKE.epochs))
    assert_equal(weights_of(smoke_run), weights_of(run))


def test_a_loss_that_is_not_finite_stops_with_a_clear_error() -> None:
    module = module_of(SMOKE)
    with torch.no_grad():
        next(module.network.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingDivergedError, match=r"loss is nan.*last good checkpoint is kept"):
        module.training_step((torch.zeros(2, 3, 64, 64), torch.zeros(2, 1, 64, 64), torch.ones(2)), 0)


def test_a_diverging_run_keeps_its_last_good_checkpoint(smoke_run: Path, phantoms: Path, tmp_path: Path) -> None:
    """Fine-tuned with start weights in which one is NaN: the command fails, and no checkpoint of it is written."""
    state = weights_of(smoke_run)
    state["segmentation_head.0.bias"] = torch.full((1,), float("nan"))
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, tmp_path / "bad.safetensors")
    done = call(
        "train", "--run", tmp_path / "run", "--recipe", "smoke", "--data", phantoms,
        "--accelerator", "cpu", "--threads", "1", "--init", tmp_path / "bad.safetensors",
    )  # fmt: skip
    assert done.code == 1
    assert "loss is nan" in done.error
    assert "Traceback" not in done.error
    assert not (tmp_path / "run" / "last.ckpt").exists()


def test_stochastic_depth_is_for_training_only_and_adds_no_weight() -> None:
    light = replace(SMOKE, model=replace(SMOKE.model, encoder="tu-tf_efficientnet_lite0", drop_path=0.9))
    module, image = module_of(light), torch.randn(4, 3, 64, 64)
    plain = module_of(replace(light, model=replace(light.model, drop_path=0.0)))
    assert_equal(module.network.state_dict(), plain.network.state_dict())
    module.network.train()
    assert not torch.equal(module.network(image), module.network(image))
    module.network.load_state_dict(plain.network.state_dict())  # training mode moved BatchNorm's statistics
    with torch.inference_mode():
        assert torch.equal(module.network.eval()(image), plain.network.eval()(image))


def test_stochastic_depth_without_residual_blocks_is_refused() -> None:
    with pytest.raises(SettingsError, match="no residual block"):
        module_of(replace(SMOKE, model=replace(SMOKE.model, encoder="vgg16", drop_path=0.1)))


def module_of(recipe: Recipe) -> SegmentationModule:
    torch.manual_seed(0)
    return SegmentationModule(recipe, total_steps=4)


LARGE = ("resnet34", "vgg16", "efficientnet-b4")


@pytest.mark.parametrize(
    "encoder",
    # Large ones take up to half a minute each.
    ["tu-tf_efficientnet_lite0", *(pytest.param(one, marks=pytest.mark.long) for one in LARGE)],
)
def test_encoders_train_a_step_are_packaged_and_judged(encoder: str, phantoms: Path, tmp_path: Path) -> None:
    recipe = replace(SMOKE, model=replace(SMOKE.model, encoder=encoder))
    module = module_of(recipe)
    optimiser = torch.optim.SGD(module.network.parameters(), 0.01)
    images, masks = torch.randn(2, 3, 64, 64), torch.zeros(2, 1, 64, 64)
    masks[:, :, 20:30, 20:30] = 1
    before = {name: tensor.clone() for name, tensor in module.network.named_parameters()}
    module.loss(module.network(images), masks).backward()
    optimiser.step()
    moved = [name for name, tensor in module.network.named_parameters() if not torch.equal(tensor, before[name])]
    assert any(name.startswith("encoder.") for name in moved)
    assert any(name.startswith("decoder.") for name in moved)
    write_release(tmp_path / "release", module.network.state_dict(), _card(recipe))
    package(tmp_path / "release", tmp_path / "brainseg-0.1.mar", engine="onnxruntime")
    item = load_slice(find_pairs(phantoms).pairs[0])
    with ExitStack() as keep:
        archived = open_predictor(str(tmp_path / "brainseg-0.1.mar"), keep)
        assert isinstance(archived, LocalPredictor)
        logits = archived.logits(item)
    with torch.inference_mode():
        image, _ = WholeSlices([item], input_spec(recipe))[0]
        expected = module.network.eval()(image[None])[0, 0].numpy()
    assert np.abs(logits - expected).max() < 0.05  # half precision


def _card(recipe: Recipe) -> ModelCard:
    return card_of(Trained({}, recipe, 1, "sha256:0"), Split("case", 1, ("a",), ("b",), ("c",)), "0.1")


def test_the_log_of_a_resumed_run_is_read_in_one_piece(tmp_path: Path) -> None:
    (tmp_path / "metrics-001.csv").write_text("epoch,val/dice,step\n0,0.1,9\n,0.5,9\n")
    (tmp_path / "metrics.csv").write_text("epoch,step,train/loss_epoch,val/dice\n1,19,,0.2\n")
    rows = read_log(tmp_path / "metrics.csv")
    assert [(row["epoch"], row["val/dice"]) for row in rows] == [(0, 0.1), (1, 0.2)]
    (tmp_path / "metrics.csv").unlink()  # started again when it was finished
    assert [row["epoch"] for row in read_log(tmp_path / "metrics.csv")] == [0]
    (tmp_path / "metrics-001.csv").unlink()
    assert read_log(tmp_path / "metrics.csv") == []


def test_validation_during_training_is_of_the_averaged_network() -> None:
    module = module_of(SMOKE)
    assert module.best_network is module.averaged.module
    plain = module_of(replace(SMOKE, optimiser=replace(SMOKE.optimiser, ema=0.0)))
    assert plain.best_network is plain.network


def test_encoder_weights_from_a_file_reach_the_encoder_only(tmp_path: Path) -> None:
    network = build(Architecture(encoder="resnet18", decoder_channels=(16, 8, 8, 8, 8)))
    given = {
        name.removeprefix("encoder."): torch.full_like(tensor, 0.5).half()
        for name, tensor in network.state_dict().items()
        if name.startswith("encoder.") and tensor.is_floating_point()
    }
    save_file(given, tmp_path / "encoder.safetensors")
    state = encoder_state(network, str(tmp_path / "encoder.safetensors"), "resnet18")
    assert float(state["encoder.conv1.weight"].mean()) == 0.5
    assert state["encoder.conv1.weight"].dtype == torch.float32
    assert torch.equal(state["segmentation_head.0.weight"], network.state_dict()["segmentation_head.0.weight"])
    given.pop("conv1.weight")
    save_file(given, tmp_path / "short.safetensors")
    with pytest.raises(StartWeightsError, match="1 tensors missing"):
        encoder_state(network, str(tmp_path / "short.safetensors"), "resnet18")


@pytest.mark.parametrize(
    ("encoder", "whole"), [("resnet18", "resnet18"), ("tu-tf_efficientnet_lite0", "tf_efficientnet_lite0")]
)
def test_the_whole_classifier_of_a_hub_starts_an_encoder(encoder: str, whole: str, tmp_path: Path) -> None:
    classifier = timm.create_model(whole)
    save_file(classifier.state_dict(), tmp_path / "model.safetensors")
    network = build(Architecture(encoder=encoder, decoder_channels=(16, 8, 8, 8, 8)))
    state = encoder_state(network, str(tmp_path / "model.safetensors"), encoder)
    prefix = "encoder." if encoder == "resnet18" else "encoder.model."
    own = [name for name in state if name.startswith("encoder.") and not name.endswith("num_batches_tracked")]
    assert all(torch.equal(state[name], classifier.state_dict()[name.removeprefix(prefix)]) for name in own)
    save_file({**classifier.state_dict(), "other": torch.zeros(1)}, tmp_path / "more.safetensors")
    with pytest.raises(StartWeightsError, match="1 unknown"):
        encoder_state(network, str(tmp_path / "more.safetensors"), encoder)


def test_timm_names_get_their_prefix(tmp_path: Path) -> None:
    recipe = replace(SMOKE, model=replace(SMOKE.model, encoder="tu-tf_efficientnet_lite0"))
    network = build(architecture_of(recipe))
    prefix = "encoder.model."
    given = {n.removeprefix(prefix): t for n, t in network.state_dict().items() if n.startswith(prefix)}
    save_file(given, tmp_path / "timm.safetensors")
    assert_equal(encoder_state(network, str(tmp_path / "timm.safetensors"), "lite0"), network.state_dict())


def test_init_takes_released_folders_and_checkpoints_and_nothing_else(smoke_run: Path, tmp_path: Path) -> None:
    trained = read_checkpoint(smoke_run / "last.ckpt")
    network = build(architecture_of(trained.recipe))
    assert_equal(network_state(network, str(smoke_run / "last.ckpt")), trained.state)
    write_release(tmp_path / "r", trained.state, card_of(trained, read_split(smoke_run / "split.json"), "1.0"))
    released = network_state(network, str(tmp_path / "r"))
    weight = "segmentation_head.0.weight"
    assert np.allclose(released[weight], trained.state[weight], rtol=1e-3)
    with pytest.raises(StartWeightsError, match="there are no weights"):
        network_state(network, str(tmp_path / "nowhere"))
    torch.save({"model": 1}, tmp_path / "other.ckpt")
    with pytest.raises(StartWeightsError, match="import-checkpoint"):
        network_state(network, str(tmp_path / "other.ckpt"))


def test_the_recipe_travels_in_the_checkpoint(smoke_run: Path) -> None:
    assert read_checkpoint(smoke_run / "last.ckpt").recipe == SMOKE
    assert json.loads((smoke_run / "recipe.json").read_text())["name"] == "smoke"


def test_a_run_without_data_says_what_to_do(tmp_path: Path) -> None:
    done = call("train", "--run", tmp_path / "run", "--recipe", "smoke")
    assert done.code == 1
    assert "--data DIR or set BRAINSEG_DATA" in done.error
