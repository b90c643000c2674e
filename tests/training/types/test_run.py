from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from scipy.special import softmax
from typer.testing import CliRunner

from handler.card import Architecture
from handler.classifier import Classifier
from handler.pipeline import open_model
from handler.types.way import probabilities
from scripts.commands import types_evaluate, types_release, types_train
from settings.mapping import SettingsError
from tests.training.types.drawn import write_recipe, write_types
from training.data.cases import DataError
from training.data.split import Fold
from training.fit.origin import RunError
from training.fit.start import StartWeightsError
from training.types import run as run_module
from training.types.figures import read_judged
from training.types.recipe import load_types_recipe
from training.types.release import TypesOrder, _patients, release_types
from training.types.run import PREDICTIONS, RUN_FILE, WEIGHTS, TypesRun, train_types
from training.types.slices import find_slices, read_grids
from training.types.stages import cut

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> TypesRun:
    folder = tmp_path_factory.mktemp("types")
    recipe = load_types_recipe(str(write_recipe(folder / "recipe.yaml")))
    return TypesRun(recipe, write_types(folder / "data"), Fold(1, 4), cache=folder)


@pytest.fixture(scope="module")
def trained(wanted: TypesRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return train_types(wanted, tmp_path_factory.mktemp("run") / "whole")


def test_what_was_held_out_is_judged_and_nothing_else(wanted: TypesRun, trained: Path) -> None:
    judged = read_judged([trained / PREDICTIONS])
    patients = {item.name: item.patient for item in find_slices(wanted.data, wanted.recipe.classes)}
    held = {patients[name] for name in judged.names}
    assert len(held) == 3  # one of four of each class
    assert set(judged.names) == {name for name, patient in patients.items() if patient in held}
    assert set(judged.owner) == held


def test_frozen_stages_keep_their_weights_and_others_learn(wanted: TypesRun, trained: Path) -> None:
    torch.manual_seed(wanted.recipe.seed)
    before = Classifier(wanted.recipe.architecture).state_dict()
    after = load_file(trained / WEIGHTS)
    stem = [name for name in after if "conv_stem" in name or ".model.bn1." in name]
    assert stem
    assert all(torch.equal(before[name], after[name]) for name in stem)
    assert not torch.equal(before["head.1.weight"], after["head.1.weight"])
    assert any(not torch.equal(before[name], after[name]) for name in after if ".blocks.4." in name)


def test_a_run_that_was_ended_goes_on_to_the_same_weights(
    wanted: TypesRun, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = run_module._keep

    def keep_and_end(folder: Path, epochs: int, *rest: object) -> None:
        keep(folder, epochs, *rest)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(run_module, "_keep", keep_and_end)
    with pytest.raises(KeyboardInterrupt):
        train_types(wanted, tmp_path / "ended")
    monkeypatch.undo()
    train_types(wanted, tmp_path / "ended")
    one, two = load_file(trained / WEIGHTS), load_file(tmp_path / "ended" / WEIGHTS)
    assert one.keys() == two.keys()
    assert all(torch.allclose(one[name], two[name], atol=1e-5) for name in one)
    log = (tmp_path / "ended" / "metrics.csv").read_text("utf-8").splitlines()
    assert len(log) == 1 + wanted.recipe.epochs


def test_a_folder_of_another_run_is_left_alone(wanted: TypesRun, trained: Path) -> None:
    before = (trained / RUN_FILE).read_bytes()
    for other in (replace(wanted, fold=Fold(2, 4)), replace(wanted, by="slice")):
        with pytest.raises(RunError, match="another recipe, fold or start weights"):
            train_types(other, trained)
    assert (trained / RUN_FILE).read_bytes() == before
    assert str(wanted.data) not in before.decode()
    assert json.loads(before)["fold"] == [1, 4]


def test_a_run_that_was_refused_does_not_take_its_folder(wanted: TypesRun, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(1)}, other)
    with pytest.raises(StartWeightsError):
        train_types(replace(wanted, start=str(other)), tmp_path / "run")
    assert not (tmp_path / "run" / RUN_FILE).exists()


def test_without_frozen_stages_and_a_fold_all_is_trained_on(wanted: TypesRun, tmp_path: Path) -> None:
    recipe = replace(wanted.recipe, epochs=1, network=replace(wanted.recipe.network, frozen=0, head=(8,)))
    weighed = replace(recipe, loss=replace(recipe.loss, weights="balanced", smoothing=0.1))
    folder = train_types(replace(wanted, recipe=weighed, fold=None), tmp_path / "all")
    assert not (folder / PREDICTIONS).exists()
    assert load_file(folder / WEIGHTS)["head.0.weight"].shape[0] == 8


def test_the_published_one_trains(wanted: TypesRun, tmp_path: Path) -> None:
    published = load_types_recipe("types-published")
    small = replace(
        published, epochs=1, per_patient=1, batch=4, network=replace(published.network, height=32, width=32)
    )
    folder = train_types(replace(wanted, recipe=small), tmp_path / "published")
    judged = read_judged([folder / PREDICTIONS])
    assert judged.logits.shape == (9, 3)
    assert np.isfinite(judged.logits).all()


@pytest.mark.parametrize(("encoder", "frozen"), [("tu-tf_mobilenetv3_small_minimal_100", 3), ("vgg11", 6)])
def test_a_network_cut_in_two_gives_its_own_logits(encoder: str, frozen: int) -> None:
    torch.manual_seed(0)
    network = Classifier(Architecture("classifier", encoder, (), classes=3)).eval()
    images = torch.rand(2, 3, 64, 32)
    first, rest = cut(network, frozen)
    with torch.no_grad():
        whole = network(images)
        assert whole.shape == (2, 1, 1, 3)
        assert torch.allclose(rest(first(images)), whole[:, 0, 0], atol=1e-5)
    assert not any(parameter.requires_grad for parameter in first.parameters())


def test_stages_that_are_not_known_or_not_there_are_refused() -> None:
    with pytest.raises(SettingsError, match="stages are not known"):
        cut(Classifier(Architecture("classifier", "resnet18", (), classes=2)), 1)
    with pytest.raises(SettingsError, match="this encoder has 7 stages"):
        cut(Classifier(Architecture("classifier", "tu-tf_mobilenetv3_small_minimal_100", (), classes=2)), 8)


def test_a_release_says_what_it_is_and_answers_as_the_run_did(wanted: TypesRun, trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "brainseg-types-0.1"
    order = TypesOrder(trained, (trained,), wanted.data, "0.1", folder, "somebody, Apache-2.0")
    card = release_types(order)
    assert (card.name, card.labels) == ("brainseg-types", wanted.recipe.classes)
    assert not set(card.data["train"]) & set(card.data["test"])
    assert len(card.data["train"]) + len(card.data["test"]) == 12
    assert {figure["name"] for figure in card.metrics["own part"]["figures"]} >= {"accuracy", "macro recall"}
    assert card.metrics["temperature"]["by"] == "own"
    assert "CC BY 4.0" in card.licences["weights"]
    assert "somebody, Apache-2.0" in (folder / "LICENSE").read_text("utf-8")
    judged = read_judged([trained / PREDICTIONS])
    model = open_model(folder, "torch", 1)
    slices = [item for item in find_slices(wanted.data, wanted.recipe.classes) if item.name == judged.names[0]]
    grid = np.repeat(read_grids(wanted.data, slices, card.input)[0][..., None], 3, axis=-1)
    chances = probabilities(model.engine, card, grid)
    expected = softmax(judged.logits[0] * card.calibration.scale)
    assert chances == pytest.approx(expected, abs=0.02)  # the release is in half precision


def test_figures_of_another_recipe_are_not_taken(wanted: TypesRun, trained: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    described = json.loads((trained / RUN_FILE).read_text("utf-8"))
    (other / RUN_FILE).write_text(json.dumps(described | {"by": "slice"}), encoding="utf-8")
    with pytest.raises(DataError, match="another recipe or split"):
        release_types(TypesOrder(trained, (other,), wanted.data, "0.1", tmp_path / "out", ""))


def test_a_run_that_leaks_is_not_released(wanted: TypesRun, trained: Path, tmp_path: Path) -> None:
    """Its card would name patients as held out whose slices it has seen."""
    leaks = shutil.copytree(trained, tmp_path / "leaks")
    described = json.loads((trained / RUN_FILE).read_text("utf-8"))
    (leaks / RUN_FILE).write_text(json.dumps(described | {"by": "slice"}), encoding="utf-8")
    with pytest.raises(DataError, match="held out slices of patients that it was trained on"):
        release_types(TypesOrder(leaks, (trained,), wanted.data, "0.1", tmp_path / "out", ""))


def test_slices_without_a_patient_are_named_by_themselves(wanted: TypesRun, tmp_path: Path) -> None:
    recipe = replace(wanted.recipe, classes=(*wanted.recipe.classes, "notumor"))
    (tmp_path / RUN_FILE).write_text(json.dumps(replace(wanted, recipe=recipe).described()), encoding="utf-8")
    sides = _patients(TypesOrder(tmp_path, (), wanted.data, "0.1", tmp_path / "out", ""), recipe)
    assert not {*sides["train"]} & {*sides["test"]}
    assert "None" not in {*sides["train"], *sides["test"]}
    assert len([name for side in sides.values() for name in side if name.startswith("notumor/")]) == 6
    assert any(name.startswith("notumor/") for name in sides["test"])


def test_the_commands_say_what_is_wrong_and_write_the_page(wanted: TypesRun, trained: Path, tmp_path: Path) -> None:
    page = tmp_path / "types.md"
    page.write_text("# Types\n\nthe rule\n", encoding="utf-8")
    done = CliRunner().invoke(
        types_evaluate.app,
        [
            str(trained),
            "--data",
            str(wanted.data),
            "--output",
            str(page),
            "--looks",
            "2",
            "--pictures",
            str(tmp_path / "seen"),
        ],
    )
    assert done.exit_code == 0, done.output
    written = page.read_text("utf-8")
    assert "the rule" in written
    assert "9 slices of 3 patients" in written
    assert "heat inside the box" in written
    seen = sorted((tmp_path / "seen").glob("*.png"))
    assert len(seen) == 6  # two of each class
    picture = np.asarray(Image.open(seen[0]))
    assert picture.shape == (64, 64, 3)
    assert (picture[int(0.1 * 64), 10:20] == 255).all()  # the box's upper edge
    assert CliRunner().invoke(types_evaluate.app, [str(tmp_path), "--output", str(page)]).exit_code == 1
    other = shutil.copytree(trained, tmp_path / "other")
    (other / RUN_FILE).write_text((trained / RUN_FILE).read_text("utf-8").replace('"drawn"', '"other"'), "utf-8")
    both = [str(trained), str(other), "--output", str(page)]
    assert CliRunner().invoke(types_evaluate.app, both).exit_code == 0
    assert "#### other less drawn\n\n9 slices of 3 patients" in page.read_text("utf-8")
    blind = CliRunner().invoke(types_evaluate.app, [*both, "--pictures", str(tmp_path / "none")])
    assert (blind.exit_code, "give --data too" in blind.output) == (1, True)
    wrong = CliRunner().invoke(types_evaluate.app, [*both, "--apart", "notumour"])
    assert wrong.exit_code == 1
    assert "--apart notumour: none of these runs has that class" in wrong.output
    arguments = ["--run", str(trained), "--data", str(wanted.data), "--recipe", "types"]
    assert CliRunner().invoke(types_train.app, arguments).exit_code == 1  # begun with another recipe
    out = tmp_path / "release"
    arguments = [
        str(trained),
        "--judged",
        str(trained),
        "--data",
        str(wanted.data),
        "--version",
        "0.1",
        "--out",
        str(out),
    ]
    assert CliRunner().invoke(types_release.app, arguments).exit_code == 0
    assert (out / "model-card.json").is_file()
