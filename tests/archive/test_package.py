"""Archives: equal inputs give equal bytes, engines that compute something else give none."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from numpy.typing import NDArray

from archive.__main__ import main
from archive.convert import add_engines
from archive.digests import DIGESTS_FILE, record_path, write_record
from archive.engines.parity import HALF_TOLERANCE, ParityError, compare, difference
from archive.inputs import is_current, why_stale
from archive.mar import pack, package
from archive.store import MODELS, ROOT
from archive.verify import read_release
from handler.card import Architecture, FileRecord, InputSpec, ModelCard, parse_card
from handler.engines import open_engine
from handler.engines.torch_engine import HALF, TorchEngine, has_gpu
from handler.network import build
from samples.make import FOLDER, HEALTHY, LESION, STACK, png, stack_tiff
from samples.phantom import draw, draw_stack
from tests.disks import small_disk
from tests.tiny import write_tiny_release
from training.release.folder import write_release

pytestmark = pytest.mark.slow


def test_the_samples_are_what_the_code_draws() -> None:
    assert (FOLDER / LESION).read_bytes() == png(draw(1, lesion_radius=0.09))
    assert (FOLDER / HEALTHY).read_bytes() == png(draw(2))
    assert (FOLDER / STACK).read_bytes() == stack_tiff(draw_stack(3, slices=8))


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A tiny release and its archive."""
    store = tmp_path_factory.mktemp("store")
    release = write_tiny_release(store)
    package(release, store / "brainseg-1.0.mar", engine="ncnn")
    return release, store / "brainseg-1.0.mar"


def test_twice_the_same_bytes(packaged: tuple[Path, Path], tmp_path: Path) -> None:
    release, archive = packaged
    package(release, tmp_path / "again.mar", engine="ncnn")
    assert (tmp_path / "again.mar").read_bytes() == archive.read_bytes()


def test_what_is_inside(packaged: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(packaged[1]) as archive:
        names = set(archive.namelist())
        card = parse_card(archive.read("model-card.json").decode())
    assert {"service.py", "handler/pipeline.py", "weights.safetensors", "model-config.yaml", DIGESTS_FILE} <= names
    assert {record.file for record in card.engines["ncnn"]} <= names
    assert card.parity["ncnn"]["flipped_pixels"] == 0
    assert [known["sample"] for known in card.known_answers] == [HEALTHY, LESION, STACK]
    assert "handler/service.py" not in names
    assert not [name for name in names if name.startswith(("training", "web", "scripts", "tests"))]


def test_stale_when_anything_changes(packaged: tuple[Path, Path], tmp_path: Path) -> None:
    release, archive = packaged
    assert is_current(archive, release)
    assert not is_current(tmp_path / "none.mar", release)
    card = release / "model-card.json"
    before = card.read_text()
    card.write_text(before.replace('"threshold": 0.5', '"threshold": 0.6'))
    try:
        assert not is_current(archive, release)
    finally:
        card.write_text(before)


def test_weights_that_are_not_the_cards_are_not_packaged(tmp_path: Path) -> None:
    release = write_tiny_release(tmp_path)
    weights = release / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(ValueError, match="its model card says"):
        package(release, tmp_path / "out.mar")
    assert not (tmp_path / "out.mar").exists()


@pytest.mark.parametrize(("channels", "logits_at"), [((32, 16, 16, 8, 8), 1), ((32, 16, 8, 8), 2)])
def test_efficientnets_size_dependent_padding_is_converted_exactly(
    channels: tuple[int, ...], logits_at: int, tmp_path: Path
) -> None:
    """So is the way back to the full grid of a decoder that ends before it."""
    torch.manual_seed(1)
    architecture = Architecture(encoder="tu-tf_efficientnet_lite0", decoder_channels=channels, logits_at=logits_at)
    card = ModelCard("brainseg", "9.0", FileRecord("w", "", 0), architecture, InputSpec(64, 64))
    card = write_release(tmp_path, build(architecture).state_dict(), card)
    assert add_engines(card, tmp_path, "ncnn").parity["ncnn"]["max_probability_difference"] < 1e-4


def test_half_precision_is_held_to_its_own_tolerance(packaged: tuple[Path, Path], tmp_path: Path) -> None:
    with zipfile.ZipFile(packaged[1]) as archive:
        archive.extractall(tmp_path)
        card = parse_card(archive.read("model-card.json").decode())
    assert card.parity[HALF]["within"]
    assert card.parity[HALF]["tolerance"] == HALF_TOLERANCE
    half, full = (TorchEngine(card, tmp_path, 1, half=wanted) for wanted in (True, False))
    image = np.random.default_rng(0).standard_normal((1, 3, 64, 96), np.float32)
    found, reference = half.logits(image), full.logits(image)
    assert found.dtype == np.float32
    assert 0 < np.abs(found - reference).max() < 0.05
    assert not difference(card, Shifted(0.0), Shifted(0.2), HALF_TOLERANCE)["within"]
    assert TorchEngine(card, tmp_path, 1).dtype == (torch.float16 if has_gpu() else torch.float32)
    unproven = card.with_changes(parity={})
    assert TorchEngine(unproven, tmp_path, 1).dtype == torch.float32


class Shifted:
    """An engine whose logits are off by ``shift``."""

    name, threads, batch, at_once = "shifted", 1, 1, 1

    def __init__(self, shift: float) -> None:
        self.shift = shift

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.full((images.shape[0], *images.shape[2:]), self.shift, np.float32)


@pytest.mark.parametrize(("shift", "passes"), [(0.003, True), (0.005, False), (1.0, False)])
def test_parity_is_a_bar(packaged: tuple[Path, Path], shift: float, passes: bool) -> None:
    """The slope of the sigmoid at 0 is 1/4: a logit of 0.004 is a probability of 0.001."""
    with zipfile.ZipFile(packaged[1]) as archive:
        card = parse_card(archive.read("model-card.json").decode())
    if passes:
        assert compare(card, Shifted(0.0), Shifted(shift))["flipped_pixels"] == 0
    else:
        with pytest.raises(ParityError, match="differs"):
            compare(card, Shifted(0.0), Shifted(shift))


def test_nan_is_no_parity(packaged: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(packaged[1]) as archive:
        card = parse_card(archive.read("model-card.json").decode())
    with pytest.raises(ParityError, match="inf"):
        compare(card, Shifted(-1.0), Shifted(float("nan")))  # below the threshold: no pixel changes sides


def test_ncnn_refuses_a_side_that_would_corrupt_its_heap(packaged: tuple[Path, Path], tmp_path: Path) -> None:
    with zipfile.ZipFile(packaged[1]) as archive:
        archive.extractall(tmp_path)
        card = parse_card(archive.read("model-card.json").decode())
    engine = open_engine("ncnn", card, tmp_path, 1)
    with pytest.raises(ValueError, match="divisible by 32"):
        engine.logits(np.zeros((1, 3, 64, 65), np.float32))
    assert engine.logits(np.zeros((2, 3, 64, 96), np.float32)).shape == (2, 64, 96)


def test_a_copied_release_under_another_number_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """TorchServe would find version 1.0 in the archive that is to be 2.0."""
    write_tiny_release(tmp_path, "1.0").rename(tmp_path / "brainseg-2.0")
    with pytest.raises(typer.Exit) as ended:
        main(["2.0"], tmp_path)
    assert ended.value.exit_code == 1
    assert "holds version 1.0" in capsys.readouterr().out
    assert not list(tmp_path.glob("*.mar"))


def _changed(archive: Path, target: Path, name: str) -> Path:
    """``archive`` with one byte more in ``name``, the rest as it was, its digests too."""
    with zipfile.ZipFile(archive) as source:
        members = {one: source.read(one) for one in source.namelist()}
    target.write_bytes(pack(members | {name: members[name] + b"\n"}))
    return target


def test_a_handler_changed_inside_is_not_served_as_what_was_packaged(
    packaged: tuple[Path, Path], tmp_path: Path
) -> None:
    """What is written inside does not vouch for itself: the digest is kept beside the archive too."""
    release, archive = packaged
    changed = _changed(archive, tmp_path / archive.name, "handler/pipeline.py")
    assert "not kept beside it" in why_stale(changed, release)
    record_path(changed).write_bytes(record_path(archive).read_bytes())
    assert why_stale(changed, release) == "it was changed after it was packaged"
    write_record(changed)
    assert "handler/pipeline.py was changed after it was packaged" in why_stale(changed, release)


def test_sha256sum_reads_the_record(packaged: tuple[Path, Path]) -> None:
    archive = packaged[1]
    command = ["sha256sum", "--check", "--strict", record_path(archive).name]
    assert subprocess.run(command, cwd=archive.parent, check=False, capture_output=True).returncode == 0


def test_under_another_number_the_same_weights(packaged: tuple[Path, Path], tmp_path: Path) -> None:
    release, archive = packaged
    package(release, tmp_path / "brainseg-1.0.1.mar", "1.0.1", engine="ncnn")
    again, first = read_release(tmp_path / "brainseg-1.0.1.mar"), read_release(archive)
    assert again.version == "1.0.1"
    assert (again.card.weights, again.digests) == (first.card.weights, first.digests)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [((["1.0", "2.0"], "2.0.1"), "--as is for one version"), ((["1.0"], "../1"), "expected at most 40 letters")],
)
def test_a_number_that_cannot_be_is_refused(
    arguments: tuple[list[str], str], reason: str, packaged: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit):
        main(arguments[0], packaged[0].parent, arguments[1])
    assert reason in capsys.readouterr().out


@pytest.mark.parametrize("model", MODELS)
def test_where_nothing_is_released_nothing_is_packaged_and_that_is_said(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended:
        main(model_store=tmp_path / "typo", model=model)
    assert ended.value.exit_code == 1
    assert f"no release of {model} in {tmp_path / 'typo'}" in capsys.readouterr().out


def test_a_full_temporary_disk_is_one_line_and_leaves_nothing(packaged: tuple[Path, Path]) -> None:
    with small_disk(4) as disk:
        command = [sys.executable, "-m", "archive", "1.0", "--model-store", str(packaged[0].parent)]
        before = packaged[1].read_bytes()
        environment = {**os.environ, "TMPDIR": str(disk)}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        (line,) = (done.stdout + done.stderr).strip().splitlines()
        assert str(disk) in line
        assert "TMPDIR" in line
        assert list(disk.iterdir()) == []
        assert packaged[1].read_bytes() == before
