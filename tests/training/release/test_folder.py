"""Weights: into a release in fp16 and out again, and only the network they are of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from handler.card import Architecture, FileRecord, ModelCard
from handler.files import sha256_of, write_atomic
from handler.network import build, load
from tests.handler.models import card
from tests.tiny import TINY
from training.release.folder import half, write_release


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    torch.manual_seed(1)
    return build(TINY).eval()


@pytest.fixture
def released(network: torch.nn.Module, tmp_path: Path) -> ModelCard:
    return write_release(tmp_path, network.state_dict(), card(architecture=TINY))


def rewritten(folder: Path, release: ModelCard, state: dict[str, torch.Tensor]) -> ModelCard:
    """The release with other weights, and a card that vouches for them."""
    save_file(state, folder / release.weights.file)
    return release.with_changes(weights=FileRecord.of(folder / release.weights.file))


class TestRelease:
    def test_the_card_is_complete(self, released: ModelCard, tmp_path: Path) -> None:
        assert released.weights == FileRecord.of(tmp_path / "weights.safetensors")
        assert released.created
        assert released.limits
        assert {"python", "torch", "numpy"} <= set(released.libraries)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["model-card.json", "weights.safetensors"]

    def test_weights_are_halved_and_counters_left_out(
        self, network: torch.nn.Module, released: ModelCard, tmp_path: Path
    ) -> None:
        stored, state = load_file(tmp_path / released.weights.file), network.state_dict()
        assert set(stored) == {name for name in state if not name.endswith("num_batches_tracked")}
        for name, tensor in stored.items():
            assert tensor.dtype == torch.float16
            torch.testing.assert_close(tensor.float(), state[name].float(), rtol=1e-3, atol=1e-6)

    def test_the_network_comes_back(self, network: torch.nn.Module, released: ModelCard, tmp_path: Path) -> None:
        images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        back = load(released, tmp_path)
        assert not back.training
        with torch.inference_mode():
            torch.testing.assert_close(back(images), network(images), rtol=0.02, atol=0.02)

    def test_twice_the_same_bytes(self, network: torch.nn.Module, released: ModelCard, tmp_path: Path) -> None:
        again = write_release(tmp_path / "again", network.state_dict(), card(architecture=TINY))
        assert again.weights == released.weights

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), 70_000.0])
    def test_weights_that_fp16_cannot_hold(self, value: float) -> None:
        with pytest.raises(ValueError, match="layer: a weight is not finite"):
            half({"layer": torch.tensor([1.0, value])})


class TestLoad:
    def test_other_bytes_are_refused(self, released: ModelCard, tmp_path: Path) -> None:
        data = bytearray((tmp_path / released.weights.file).read_bytes())
        data[-1] ^= 1
        (tmp_path / released.weights.file).write_bytes(data)
        with pytest.raises(ValueError, match="was changed or swapped"):
            load(released, tmp_path)

    def test_missing_weights(self, released: ModelCard, tmp_path: Path) -> None:
        (tmp_path / released.weights.file).unlink()
        with pytest.raises(FileNotFoundError):
            load(released, tmp_path)

    def test_tensors_missing_and_unknown_are_named(self, released: ModelCard, tmp_path: Path) -> None:
        state = load_file(tmp_path / released.weights.file)
        name = sorted(state)[0]
        state["surprise"] = state.pop(name)
        changed = rewritten(tmp_path, released, state)
        with pytest.raises(ValueError, match=f"1 tensors missing .*{name}.* 1 unknown .*surprise"):
            load(changed, tmp_path)

    def test_a_tensor_of_another_shape_is_named(self, released: ModelCard, tmp_path: Path) -> None:
        state = load_file(tmp_path / released.weights.file)
        name = sorted(state)[0]
        state[name] = torch.zeros(3)
        changed = rewritten(tmp_path, released, state)
        with pytest.raises(ValueError, match=f"another shape, such as {name}"):
            load(changed, tmp_path)

    def test_another_architecture(self, released: ModelCard, tmp_path: Path) -> None:
        wider = released.with_changes(architecture=replace(TINY, decoder_channels=(32, 16, 8, 8, 8)))
        with pytest.raises(ValueError, match="another shape"):
            load(wider, tmp_path)

    def test_a_file_that_is_no_safetensors(self, released: ModelCard, tmp_path: Path) -> None:
        (tmp_path / released.weights.file).write_bytes(b"\x80\x04 a pickle, perhaps")
        changed = released.with_changes(weights=FileRecord.of(tmp_path / released.weights.file))
        with pytest.raises(ValueError, match="not a safetensors file"):
            load(changed, tmp_path)


class TestBuild:
    def test_an_unknown_decoder(self) -> None:
        with pytest.raises(ValueError, match="expected one of unet"):
            build(Architecture(decoder="transformer"))

    def test_one_logit_a_pixel(self, network: torch.nn.Module) -> None:
        assert network(torch.zeros(1, 3, 64, 96)).shape == (1, 1, 64, 96)


class TestFiles:
    def test_written_whole_and_nothing_left_beside(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "folder" / "file.bin"
        for data in (b"first", b"the second, longer", b""):
            write_atomic(path, data)
            assert path.read_bytes() == data
            assert [p.name for p in path.parent.iterdir()] == ["file.bin"]
        assert path.stat().st_mode & 0o777 == 0o644

    def test_a_failed_write_leaves_the_old_file_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "file.bin"
        write_atomic(path, b"old")
        with pytest.raises(TypeError):
            write_atomic(path, "text is not bytes")  # type: ignore[arg-type]
        assert path.read_bytes() == b"old"
        assert [p.name for p in tmp_path.iterdir()] == ["file.bin"]

    def test_a_failed_rename_leaves_nothing_behind(self, tmp_path: Path) -> None:
        folder = tmp_path / "taken"
        (folder / "inside").mkdir(parents=True)
        with pytest.raises(OSError, match="taken"):
            write_atomic(folder, b"data")
        assert [p.name for p in tmp_path.iterdir()] == ["taken"]

    def test_digest(self, tmp_path: Path) -> None:
        (tmp_path / "x").write_bytes(b"abc")
        expected = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        assert sha256_of(tmp_path / "x") == expected
