"""Weights that are not there or not what they should be: an error in words, before anything is read or written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from settings.mapping import SettingsError
from tests.training.conftest import NO_PROGRESS, call, changed_recipe
from training.fit.machine import Machine
from training.fit.origin import Start
from training.fit.recipe import load_recipe
from training.fit.run import train
from training.fit.start import StartWeightsError, load_checkpoint, weights_file
from training.release.publish import Order, publish

pytestmark = pytest.mark.training

MACHINE = Machine("cpu", threads=1, progress=False)


@pytest.fixture
def taught(tmp_path: Path) -> Path:
    return changed_recipe("smoke", tmp_path / "taught.yaml", {"loss.teacher": 5.0})


@pytest.mark.parametrize(
    ("option", "name"), [("--init", "nowhere.ckpt"), ("--init", "."), ("--encoder-weights", "nowhere.safetensors")]
)
def test_start_weights_that_are_not_there(option: str, name: str, phantoms: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = call("train", "--run", run, "--recipe", "smoke", "--data", phantoms, option, tmp_path / name)
    assert done.code == 1
    assert "there are no weights" in done.error
    assert "Traceback" not in done.error
    assert not run.exists()


@pytest.mark.parametrize(
    ("name", "said"), [("nowhere.ckpt", "there are no weights"), (".", "expected a released folder")]
)
def test_teachers_that_are_not_there(name: str, said: str, taught: Path, phantoms: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = call("train", "--run", run, "--recipe", taught, "--data", phantoms, "--teacher", tmp_path / name)
    assert done.code == 1
    assert said in done.error
    assert "Traceback" not in done.error
    assert not run.exists()


def test_a_teacher_of_another_size(smoke_run: Path, phantoms: Path, tmp_path: Path) -> None:
    recipe = changed_recipe("smoke", tmp_path / "tall.yaml", {"loss.teacher": 5.0, "model.height": 96})
    run, start = tmp_path / "run", Start(teachers=(str(smoke_run / "last.ckpt"),))
    with pytest.raises(StartWeightsError, match="takes slices of 64x64 pixels and this recipe's are 96x64"):
        train(load_recipe(str(recipe)), phantoms, run, start, MACHINE, never_read)
    assert not run.exists()


@pytest.mark.parametrize("name", ["broken.ckpt", "broken.safetensors"])
@pytest.mark.parametrize("content", [b"", b"neither a zip nor a header", bytes(100)], ids=["empty", "text", "zeros"])
def test_files_that_cannot_be_read(name: str, content: bytes, phantoms: Path, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StartWeightsError, match=rf"{name} cannot be read") as caught:
        train(load_recipe("smoke"), phantoms, tmp_path / "run", Start(network=str(tmp_path / name)), MACHINE)
    assert "weights_only" not in str(caught.value)  # torch's own advice, to read it all the same, is dangerous


def test_start_weights_that_do_not_fit(smoke_run: Path, phantoms: Path, tmp_path: Path) -> None:
    wider = changed_recipe("smoke", tmp_path / "wider.yaml", {"model.decoder_channels": [64, 32, 16, 8, 8]})
    run, start = tmp_path / "run", Start(network=str(smoke_run / "last.ckpt"))
    with pytest.raises(StartWeightsError, match="of another shape"):
        train(load_recipe(str(wider)), phantoms, run, start, MACHINE, never_read)
    assert not run.exists()


@pytest.mark.parametrize(
    ("encoder", "channels", "said"),
    [
        ("vgg61", [16, 8, 8, 8, 8], r"Wrong encoder name `vgg61`\. Expected .*vgg16"),
        ("tu-nonsense", [16, 8, 8, 8, 8], "Unknown model"),
        ("vgg16", [16, 8, 8, 8, 8, 8, 8], "depth should be in range"),
        ("vgg16", [16, 8, 8, 8, 8], "depth should be in range"),
    ],
)
def test_networks_that_cannot_be_built(
    encoder: str, channels: list[int], said: str, phantoms: Path, tmp_path: Path
) -> None:
    """Among them one whose decoder ends at half the side, and has a block for each side all the same."""
    half = encoder == "vgg16" and len(channels) == 5
    changes = {"model.encoder": encoder, "model.decoder_channels": channels, "model.logits_at": 2 if half else 1}
    recipe = load_recipe(str(changed_recipe("smoke", tmp_path / "changed.yaml", changes)))
    with pytest.raises(SettingsError, match=said):
        train(recipe, phantoms, tmp_path / "run", Start(), MACHINE, never_read)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("encoder", ["resnet34", "tu-resnet18"])
def test_a_hub_that_cannot_be_reached(encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    recipe = load_recipe(str(changed_recipe("smoke", tmp_path / "changed.yaml", {"model.encoder": encoder})))
    with pytest.raises(StartWeightsError, match=f"weights of {encoder} cannot be fetched .*; give --encoder-weights a"):
        train(recipe, tmp_path, tmp_path / "run", Start(encoder="imagenet"), MACHINE, never_read)


def never_read() -> None:
    """In the place of what is called for each slice read."""
    raise AssertionError("a slice was read before the mistake was found")


def test_other_checkpoints_are_told_apart(tmp_path: Path) -> None:
    for content in ({"model": 1}, [1, 2], torch.zeros(3)):
        torch.save(content, tmp_path / "other.ckpt")
        with pytest.raises(StartWeightsError, match="import-checkpoint"):
            load_checkpoint(tmp_path / "other.ckpt")


def test_a_released_folder_stands_for_its_weights(release: Path) -> None:
    assert weights_file(str(release)) == weights_file(str(release / "weights.safetensors"))


def test_a_release_needs_a_checkpoint_in_its_run(smoke_run: Path, phantoms: Path, tmp_path: Path) -> None:
    with pytest.raises(StartWeightsError, match="there are no weights"):
        publish(Order(tmp_path / "last.ckpt", "0.1", tmp_path / "out"), phantoms, NO_PROGRESS)
    (tmp_path / "last.ckpt").write_bytes((smoke_run / "last.ckpt").read_bytes())
    with pytest.raises(ValueError, match=r"split\.json, which says who judges"):
        publish(Order(tmp_path / "last.ckpt", "0.1", tmp_path / "out"), phantoms, NO_PROGRESS)
    assert not (tmp_path / "out").exists()


def test_a_run_resumes_though_its_start_weights_are_gone(smoke_run: Path, phantoms: Path, tmp_path: Path) -> None:
    run, gone = tmp_path / "run", Start(network=str(tmp_path / "gone.ckpt"))
    shutil.copytree(smoke_run, run)
    (run / "start.json").write_text(json.dumps({"kind": "network", "name": "x/gone.ckpt", "sha256": "sha256:0"}))
    before = load_checkpoint(run / "last.ckpt")
    last = train(load_recipe("smoke"), phantoms, run, gone, MACHINE)
    after = load_checkpoint(last)
    assert last == run / "last.ckpt"
    assert after["epoch"] == before["epoch"]  # it was finished
    assert all(torch.equal(after["state_dict"][name], tensor) for name, tensor in before["state_dict"].items())
    with pytest.raises(StartWeightsError, match="there are no weights"):
        train(load_recipe("smoke"), phantoms, tmp_path / "new", gone, MACHINE)
