"""Checkpoints in the published form become releases; everything else gets a clear error and runs nothing."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from typer.testing import CliRunner

from handler.card import Architecture, read_card
from handler.network import DECODERS as DECODED
from handler.network import build, load
from scripts.commands.import_checkpoint import main
from training.fit.start import StartWeightsError, network_state
from training.release.published import LANDMARK, PublishedCheckpoint, read_published
from training.release.told import BY_MODEL, DECODERS

pytestmark = pytest.mark.slow

SMALL = Architecture(encoder="resnet18")


def published(path: Path, encoder: str = "resnet18", **changes: Any) -> Path:
    network = smp.Unet(encoder, encoder_weights=None, classes=1)
    content = {
        "model_state_dict": network.state_dict(),
        "epoch": 41,
        "val_iou": np.float64(0.739),
        "val_dice": np.float32(0.8125),
    }
    torch.save({**content, **changes}, path)
    return path


def run(*arguments: object) -> Any:
    import typer

    app = typer.Typer()
    app.command()(main)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_numpy_scalars_and_state_are_read(tmp_path: Path) -> None:
    checkpoint = read_published(published(tmp_path / "best.pth"), "resnet18")
    assert (checkpoint.epoch, checkpoint.val_iou, checkpoint.val_dice) == (41, 0.739, 0.8125)


def test_the_published_vgg16_becomes_a_release_that_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Seconds for so large a network, and resnet18's is rehearsed below.
    monkeypatch.setattr("scripts.commands.import_checkpoint.rehearse", lambda *_: [])
    file = published(tmp_path / "best.pth", "vgg16")
    done = run(file, "--version", "3.0", "--model-store", tmp_path / "store")
    assert done.exit_code == 0, done.output
    hint = f"./scripts/package 3.0 --model-store {tmp_path / 'store'}"
    assert hint in done.output.replace("\n", "")
    folder = tmp_path / "store" / "brainseg-3.0"
    card = read_card(folder)
    assert card.architecture.label == "unet-vgg16"
    assert card.metrics["as_stated_in_checkpoint"]["val_dice"] == 0.8125
    weights = torch.load(file, weights_only=False)["model_state_dict"]  # our own file
    state = load(card, folder).state_dict()
    name = "segmentation_head.0.weight"
    assert torch.equal(state[name], weights[name].half().float())


class Payload:
    """Runs code when unpickled carelessly."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return Path.touch, (self.marker,)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    file = published(tmp_path / "evil.pth", val_dice=Payload(marker))
    done = run(file, "--version", "3.0", "--encoder", "resnet18", "--model-store", tmp_path / "store")
    assert done.exit_code == 1
    assert "not a checkpoint that can be read safely" in done.output.replace("\n", " ")
    assert not marker.exists()
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "not a checkpoint"),
        (b"not a zip, not a pickle", "not a checkpoint"),
        (pickle.dumps({"model_state_dict": {}}), "expected"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", r"Git LFS pointer.*git lfs pull"),
        (b"\n<!DOCTYPE html><html><body>Sign in</body></html>", "HTML page"),
        (b"<html><head>", "HTML page"),
    ],
)
def test_files_that_are_no_checkpoint(tmp_path: Path, content: bytes, expected: str) -> None:
    (tmp_path / "file.pth").write_bytes(content)
    with pytest.raises(ValueError, match=expected):
        read_published(tmp_path / "file.pth")


def test_missing_keys_other_networks_and_odd_scores_are_named(tmp_path: Path) -> None:
    torch.save({"weights": {}, "epoch": 3}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"holds weights, epoch: .* under model_state_dict or state_dict"):
        read_published(tmp_path / "other.pth")
    torch.save({"state_dict": {"fc.weight": torch.zeros(2)}}, tmp_path / "classifier.pth")
    with pytest.raises(ValueError, match="0 networks in it"):
        read_published(tmp_path / "classifier.pth")
    with pytest.raises(ValueError, match=r"is not a unet-vgg16: .* Its encoder is resnet18: give --encoder resnet18"):
        read_published(published(tmp_path / "resnet.pth"), "vgg16")
    with pytest.raises(ValueError, match=r"'vgg_16' is not known.*names like it are vgg16.*Leave --encoder away"):
        read_published(published(tmp_path / "resnet.pth"), "vgg_16")
    with pytest.raises(ValueError, match="must be numbers"):
        read_published(published(tmp_path / "odd.pth", epoch="last"))


def saved(folder: Path, network: torch.nn.Module | Mapping[str, torch.Tensor]) -> Path:
    state = network.state_dict() if isinstance(network, torch.nn.Module) else network
    torch.save(dict(state), folder / "theirs.pth")
    return folder / "theirs.pth"


class TestOtherNetworks:
    """Each is named, with what to do; the encoder is not to blame for any."""

    @pytest.mark.parametrize("name", DECODERS)
    def test_another_decoder_is_found_too(self, tmp_path: Path, name: str) -> None:
        file = saved(tmp_path, getattr(smp, name)("resnet18", encoder_weights=None))
        if name not in BY_MODEL:
            with pytest.raises(ValueError, match=f"theirs.pth is a {name}, which cannot be released.*one of Unet, "):
                read_published(file)
            return
        found = read_published(file)
        assert (DECODED[found.architecture.decoder].model, found.architecture.encoder) == (name, "resnet18")
        build(found.architecture).load_state_dict(dict(found.state))

    def test_a_unet_with_another_decoder_keeps_its_encoder(self, tmp_path: Path) -> None:
        other = smp.Unet("resnet18", encoder_weights=None, decoder_attention_type="scse")
        with pytest.raises(ValueError, match=r"decoder\.blocks.*Its encoder is resnet18 and its decoder another"):
            read_published(saved(tmp_path, other))

    def test_one_class_is_made_of_two_as_told(self, tmp_path: Path) -> None:
        two = smp.Unet("resnet18", encoder_weights=None, classes=2).eval()
        with pytest.raises(ValueError, match=r"of 2 classes.*expected 1.*weight\[1:2\] - weight\[0:1\]"):
            read_published(saved(tmp_path, two))
        state = dict(two.state_dict())
        for part in ("weight", "bias"):
            both = state[f"segmentation_head.0.{part}"]
            state[f"segmentation_head.0.{part}"] = both[1:2] - both[0:1]
        one = build(read_published(saved(tmp_path, state)).architecture).eval()
        one.load_state_dict(state)
        scan = torch.rand(1, 3, 32, 32)
        with torch.inference_mode():
            assert torch.allclose(one(scan).sigmoid(), two(scan).softmax(1)[:, 1:], atol=1e-5)

    def test_one_channel_is_taken_where_it_is_named(self, tmp_path: Path) -> None:
        file = saved(tmp_path, smp.Unet("resnet18", encoder_weights=None, in_channels=1))
        with pytest.raises(ValueError, match=r"for 1 channel \(encoder.conv1.weight\); expected 3.*--sequence flair"):
            read_published(file)
        with pytest.raises(ValueError, match=r"for 1 channel .*; expected 2: flair, t1c given"):
            read_published(file, None, ["flair", "t1c"])
        done = run(file, "--version", "3.0", "--sequence", "t1c", "--model-store", tmp_path)
        assert done.exit_code == 0, done.output
        assert "rehearsed: unet-resnet18 can be packaged" in done.output
        card = read_card(tmp_path / "brainseg-3.0")
        assert (card.input.sequences, card.input.mean, card.input.std) == (("t1c",), (0.406,), (0.225,))
        wrong = run(
            file, "--version", "3.1", "--sequence", "t1c", "--mean", 0.1, "--mean", 0.2, "--model-store", tmp_path
        )
        assert wrong.exit_code == 1
        assert "'mean': 2" in wrong.output

    def test_more_of_either_is_to_be_trained_anew(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"of 4 classes.*train one that has"):
            read_published(saved(tmp_path, smp.Unet("resnet18", encoder_weights=None, classes=4)))
        with pytest.raises(ValueError, match=r"for 4 channels.*train one that has"):
            read_published(saved(tmp_path, smp.Unet("resnet18", encoder_weights=None, in_channels=4)))


class TestWrappers:
    """What others' training code leaves behind."""

    STATE: Mapping[str, torch.Tensor] = smp.Unet("resnet18", encoder_weights=None, classes=1).state_dict()

    def named(self, prefix: str) -> dict[str, torch.Tensor]:
        return {prefix + name: tensor for name, tensor in self.STATE.items()}

    def read(self, folder: Path, content: object) -> PublishedCheckpoint:
        torch.save(content, folder / "theirs.pth")
        return read_published(folder / "theirs.pth")

    @pytest.mark.parametrize("prefix", ["", "module.", "model.", "model.module.", "_orig_mod.", "net."])
    @pytest.mark.parametrize("key", [None, "state_dict", "model_state_dict"])
    def test_the_network_is_found_in_any_wrapper(self, tmp_path: Path, prefix: str, key: str | None) -> None:
        content = self.named(prefix) if key is None else {key: self.named(prefix), "epoch": 7}
        found = self.read(tmp_path, content)
        assert found.architecture.encoder == "resnet18"
        assert found.state.keys() == self.STATE.keys()
        assert all(torch.equal(found.state[name], tensor) for name, tensor in self.STATE.items())
        assert (found.epoch, found.val_iou, found.scores) == (None if key is None else 7, None, {})

    def test_foreign_buffers_beside_it_are_left_out(self, tmp_path: Path) -> None:
        beside = {"criterion.pos_weight": torch.ones(1), "metrics.dice.total": torch.zeros(1)}
        found = self.read(tmp_path, {"state_dict": {**beside, **self.named("model.")}, "hyper_parameters": {"lr": 0.1}})
        assert found.state.keys() == self.STATE.keys()

    def test_foreign_tensors_inside_it_are_not(self, tmp_path: Path) -> None:
        torch.save({**self.named(""), "encoder.extra": torch.ones(1)}, tmp_path / "theirs.pth")
        with pytest.raises(ValueError, match=r"1 tensors differ, such as encoder\.extra"):
            read_published(tmp_path / "theirs.pth", "resnet18")

    def test_two_networks_are_not_chosen_from(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"2 networks in it \(student., teacher.\)"):
            self.read(tmp_path, {**self.named("student."), **self.named("teacher.")})

    def test_a_wrapped_checkpoint_becomes_a_release_without_being_told_the_encoder(self, tmp_path: Path) -> None:
        torch.save({"state_dict": self.named("module.")}, tmp_path / "theirs.ckpt")
        done = run(tmp_path / "theirs.ckpt", "--version", "3.1", "--model-store", tmp_path / "store")
        assert done.exit_code == 0, done.output
        folder = tmp_path / "store" / "brainseg-3.1"
        card = read_card(folder)
        assert (card.architecture.encoder, card.metrics) == ("resnet18", {})
        assert torch.equal(load(card, folder).state_dict()[LANDMARK], self.STATE[LANDMARK].half().float())


@pytest.mark.parametrize(
    ("begin", "expected"), [(b"version https://git-lfs.github.com/spec/v1", "LFS"), (b"<html>", "HTML")]
)
def test_start_weights_that_are_something_else_are_named_too(tmp_path: Path, begin: bytes, expected: str) -> None:
    (tmp_path / "weights.safetensors").write_bytes(begin)
    with pytest.raises(StartWeightsError, match=expected):
        network_state(build(SMALL), str(tmp_path / "weights.safetensors"))


def test_a_release_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "brainseg-3.0").mkdir()
    done = run(published(tmp_path / "a.pth"), "--version", "3.0", "--model-store", tmp_path)
    assert done.exit_code == 1
    assert "never overwritten" in done.output


def test_an_imported_checkpoint_is_something_to_fine_tune_from(tmp_path: Path) -> None:
    checkpoint = published(tmp_path / "best.pth")
    done = run(checkpoint, "--encoder", "resnet18", "--version", "0.9", "--model-store", tmp_path)
    assert done.exit_code == 0, done.output
    state = network_state(build(SMALL), str(tmp_path / "brainseg-0.9"))
    original = torch.load(checkpoint, weights_only=False)["model_state_dict"]
    for name, tensor in original.items():
        if tensor.is_floating_point():
            assert torch.allclose(state[name], tensor, rtol=1e-3, atol=1e-4), name


def test_what_could_never_be_served_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said at once, and nothing is left of it."""

    def impossible(*_: object) -> list[str]:
        raise ValueError("unet-resnet18 answers (1, 2) for (1, 3): expected a logit a pixel")

    monkeypatch.setattr("scripts.commands.import_checkpoint.rehearse", impossible)
    done = run(published(tmp_path / "a.pth"), "--version", "3.0", "--model-store", tmp_path)
    assert done.exit_code == 1
    assert "expected a logit a pixel" in done.output
    assert not (tmp_path / "brainseg-3.0").exists()
