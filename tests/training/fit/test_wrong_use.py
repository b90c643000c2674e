"""Commands given what is not there or not what it should be: a line that names it, and no traceback."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from handler.files import write_atomic
from scripts.commands import evaluate, inspect_data, phantom_data, train
from settings.mapping import SettingsError
from training.data.split import Split, read_split, write_split
from training.fit import run as run_module
from training.fit.machine import Machine
from training.fit.origin import Start
from training.fit.recipe import load_recipe
from training.fit.run import Sides
from training.judge.predictor import SourceError, open_predictor

pytestmark = pytest.mark.training

# What is wrong -> the command, its arguments ({data}: phantoms, {release}: a release of theirs, {junk}: a file of text,
# {other}: the split of other data, {new}: nothing yet), and what must be said.
WRONG = {
    "a side that is none": ("evaluate {release} --side tset --data {data} --out {new}", "--side tset: expected one of"),
    "an archive that is none": ("evaluate {junk}.mar --side all --data {data} --out {new}", "made by scripts/package"),
    "a checkpoint that is none": ("evaluate {junk}.ckpt --side all --data {data} --out {new}", "cannot be read"),
    "nobody at the address": (
        "evaluate http://127.0.0.1:9/predictions/brainseg --side all --data {data} --out {new}",
        "no answer from http://127.0.0.1:9",
    ),
    "a report into a file": ("evaluate {release} --side all --data {data} --out {junk}", "File exists"),
    "a split that is none": ("train --recipe smoke --data {data} --run {new} --split {junk}", "no split file"),
    "a split that is not there": ("train --recipe smoke --data {data} --run {new} --split {new}", "no split file"),
    "a run in a file": ("train --recipe smoke --data {data} --run {junk}", "File exists"),
    "a recipe of another kind": ("train --recipe {junk}.yaml --data {data} --run {new}", "expected a mapping"),
    "data of another split": (
        "train --recipe smoke --data {data} --run {new} --split {other}",
        "no slice of the train side",
    ),
    "no CUDA": ("train --data {data} --run {new} --accelerator cuda --devices 64", "torch sees"),
    "an accelerator that is none": (
        "train --data {data} --run {new} --accelerator gpux",
        "expected one of auto, cpu, cuda",
    ),
    "a precision that is none": ("train --data {data} --run {new} --precision fp16", "expected one of auto, 32-true"),
    "an inspection into a file": ("inspect_data --data {data} --out {junk}", "File exists"),
    "phantoms into a file": ("phantom_data {junk}", "Not a directory"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_use_is_told_in_a_line(
    name: str, phantoms: Path, release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Seconds each time; every run that is begun by the command rehearses (test_one_channel.py looks).
    monkeypatch.setattr("scripts.commands.train.rehearse", lambda *_: [])
    for suffix in ("", ".mar", ".ckpt", ".yaml"):
        (tmp_path / f"junk{suffix}").write_text("just words")
    line, said = WRONG[name]
    write_split(Split("case", 1, ("TCGA_XX_1",), ("TCGA_XX_2",), ("TCGA_XX_3",)), tmp_path / "other.json")
    places = {"data": phantoms, "release": release} | {
        name: tmp_path / file for name, file in {"junk": "junk", "new": "new", "other": "other.json"}.items()
    }
    tool, *arguments = line.format(**places).split()
    done = CliRunner().invoke(import_module(f"scripts.commands.{tool}").app, arguments)
    assert said in done.output
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit)  # anything else would be a traceback


@pytest.mark.parametrize("page", ["inspection.json", "inspection.html"])
def test_a_disk_too_full_for_an_inspection_is_told_in_a_line(
    page: str, phantoms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> None:
        if path.name == page:
            raise OSError(errno.ENOSPC, "No space left on device")
        write_atomic(path, data)

    monkeypatch.setattr(inspect_data, "write_atomic", full)
    done = CliRunner().invoke(inspect_data.app, ["--data", str(phantoms), "--out", str(tmp_path)])
    assert "inspect-data: [Errno 28] No space left on device" in done.output
    assert "wrote" not in done.output
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit)


@pytest.mark.parametrize("content", ["a: [1\nb: }", "\x00", "just words"])
def test_a_recipe_that_is_no_yaml_mapping(content: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(content)
    with pytest.raises(SettingsError, match=r"recipe x\.yaml"):
        load_recipe(str(tmp_path / "x.yaml"))


def test_a_split_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "split.json").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="no split file"):
        read_split(tmp_path / "split.json")


def _swap_a_weight(folder: Path) -> None:
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")


def _drop_weights(folder: Path) -> None:
    (folder / "weights.safetensors").unlink()


def _spoil_card(folder: Path) -> None:
    (folder / "model-card.json").write_text("{")


@pytest.mark.parametrize("spoil", [_swap_a_weight, _drop_weights, _spoil_card])
def test_a_release_that_is_not_what_its_card_says_is_not_judged(
    spoil: Callable[[Path], None], release: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "brainseg-0.1"
    shutil.copytree(release, folder)
    spoil(folder)
    with ExitStack() as keep, pytest.raises(SourceError, match=r"brainseg-0\.1: "):
        open_predictor(str(folder), keep)


def test_files_without_their_other_half_are_told(
    phantoms: Path, release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = shutil.copytree(phantoms, tmp_path / "data")
    lost = sorted(data.rglob("*_mask.tif"))[0]
    lost.unlink()
    said = "left out for want of image or mask: 1 of the files"
    wanted = ["--data", str(data), "--out", str(tmp_path / "e"), "--side", "all", "--no-slices"]
    done = CliRunner().invoke(evaluate.app, [str(release), *wanted])
    assert done.exit_code == 0, done.output
    assert said in done.output
    assert lost.name.replace("_mask", "") in done.output
    never = ["--run", str(tmp_path / "run"), "--recipe", "smoke", "--init", "nowhere.ckpt"]
    monkeypatch.setattr("scripts.commands.train.rehearse", lambda *_: [])
    stopped = CliRunner().invoke(train.app, [*never, "--data", str(data), "--accelerator", "cpu"])
    assert stopped.exit_code == 1
    assert said in stopped.output
    assert said not in CliRunner().invoke(train.app, [*never, "--data", str(phantoms), "--accelerator", "cpu"]).output


def test_validation_without_a_tumour_cannot_choose_and_is_refused(
    phantoms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dice is of slices with tumour: without one it was 0 in each epoch, and the first was kept for the best."""
    monkeypatch.setattr("scripts.commands.train.rehearse", lambda *_: [])
    data = shutil.copytree(phantoms, tmp_path / "data")
    first, second, *others = sorted(path.name for path in (data / "kaggle_3m").iterdir())
    for mask in (data / "kaggle_3m" / first).glob("*_mask.tif"):
        tifffile.imwrite(mask, np.zeros_like(tifffile.imread(mask)))
    split = tmp_path / "split.json"
    write_split(Split("case", 1, tuple(others), (first,), (second,)), split)
    wanted = ["--recipe", "smoke", "--data", str(data), "--accelerator", "cpu", "--threads", "1"]
    done = CliRunner().invoke(train.app, ["--run", str(tmp_path / "run"), "--split", str(split), *wanted])
    assert isinstance(done.exception, SystemExit), done.output
    assert "none of the 4 validation slices (1 cases) has tumour" in done.output
    assert not {path.name for path in (tmp_path / "run").iterdir()} & {"recipe.json", "split.json", "last.ckpt"}


def test_a_run_that_was_refused_does_not_take_its_folder(phantoms: Path, tmp_path: Path) -> None:
    recipe = load_recipe("smoke")
    early = replace(recipe, validation=replace(recipe.validation, patience=1))
    with pytest.raises(SettingsError, match="stops early"):
        run_module.train(early, phantoms, tmp_path, Start(), Machine("cpu"), sides=Sides(refit=True))
    assert run_module.prepare(recipe, phantoms, tmp_path).validation


def test_phantoms_are_as_large_as_was_asked(tmp_path: Path) -> None:
    """`--volumes` took no heed of either."""
    for name, more in (("slices", []), ("volumes", ["--volumes"])):
        wanted = [str(tmp_path / name), "--size", "32", "--slices", "3", *more]
        assert CliRunner().invoke(phantom_data.app, wanted).exit_code == 0
    assert nibabel.load(next((tmp_path / "volumes").rglob("*_seg.nii.gz"))).shape == (32, 32, 3)
    masks = list((tmp_path / "slices").rglob("*_mask.tif"))
    assert (len(masks), tifffile.imread(masks[0]).shape) == (30, (32, 32))


def test_two_starts_are_refused() -> None:
    """The encoder's went unused without a word."""
    with pytest.raises(SettingsError, match="--encoder-weights imagenet would be left unused; give one of them"):
        Start("imagenet", "model_store/brainseg-2.0")
    Start("none", "model_store/brainseg-2.0")
