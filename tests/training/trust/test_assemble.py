"""A gate fitted on drawn heads: a new release that accepts them, refuses what is none, and leaves the old one alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from archive.inputs import release_files, sample_files
from handler.card import CARD_FILE, read_card
from handler.pipeline import answer, open_model
from samples.make import png
from samples.phantom import Phantom
from tests.contract import check_answer
from tests.handler.test_quality import TRUST
from tests.tiny import write_tiny_release
from tests.training.conftest import NO_PROGRESS, call
from training.data.phantoms import PHANTOM_CASES, write_phantoms
from training.trust.assemble import Order, assemble, sides_of, table


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A tiny release whose card names drawn cases, and their folder."""
    folder = tmp_path_factory.mktemp("trust")
    write_phantoms(folder / "data", 64, 6)
    made = write_tiny_release(folder, "0.1")
    sides = {"train": list(PHANTOM_CASES[:6]), "validation": list(PHANTOM_CASES[6:8]), "test": list(PHANTOM_CASES[8:])}
    read_card(made).with_changes(data=sides).write(made)
    return made, folder / "data"


@pytest.mark.slow  # it trains a gate
def test_a_release_with_a_gate_is_made_and_works(release: tuple[Path, Path], tmp_path: Path) -> None:
    old, data = release
    before = (old / CARD_FILE).read_bytes()
    (tmp_path / "trust.json").write_text(json.dumps(TRUST))
    more = ("--each", 24, "--steps", 60, "--blocks", tmp_path / "trust.json")
    done = call("trust", old, "--version", "0.2", "--out", tmp_path / "new", "--data", data, *more)
    assert done.code == 0, done.error
    assert (old / CARD_FILE).read_bytes() == before
    card = read_card(tmp_path / "new")
    assert card.trust["quality"] == TRUST["quality"]
    assert (card.version, card.weights) == ("0.2", read_card(old).weights)
    assert [path.name for path in release_files(tmp_path / "new", card)][-1] == "gate.onnx"
    rows = {row["kind"]: row for row in card.trust["gate"]["figures"]}
    assert rows["whole cases, as they are"]["accepted"] == 2
    assert rows["noise"]["accepted"] == rows["text"]["accepted"] == 0
    assert rows["noise"]["slices"] == 24
    (own,) = [row for row in card.trust["gate"]["consequences"] if row["kind"] == "slices as they are"]
    assert own["refused"] == rows["slices as they are"]["slices"] - rows["slices as they are"]["accepted"]
    assert "| noise | refused" in table(card.trust["gate"]["figures"])
    model = open_model(tmp_path / "new", "torch", 1)
    for sample in sample_files():
        body = check_answer(answer(model, {"body": sample.read_bytes()}, {}).answer.body)
        assert (body["trust"]["gate"], body["trust"]["accepted"]) == ("on", True), sample.name
        assert body["trust"]["interval_level"] == 0.9
    black = png(Phantom(np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), bool)))
    assert json.loads(answer(model, {"body": black}, {}).answer.body)["trust"]["reasons"] == ["nearly_black"]


def test_a_release_is_never_changed(release: tuple[Path, Path], tmp_path: Path) -> None:
    old, data = release
    for order, said in (
        (Order(old, "0.2", old), "holds a release"),
        (Order(old, "0.1", tmp_path / "x"), "version"),
        (Order(old, "0.2", tmp_path / "x", blocks={"gate": {}}), "gate"),
        (Order(old, "0.2", tmp_path / "x", blocks={"quality": {"kind": "other"}}), "fit-quality"),
    ):
        with pytest.raises(ValueError, match=said):
            assemble(order, data, NO_PROGRESS)
    assert not (tmp_path / "x").exists()


def test_cases_that_choose_the_threshold_are_not_fitted_on(release: tuple[Path, Path]) -> None:
    card = read_card(release[0])
    names = [f"case-{n}" for n in range(16)]
    for data in (
        {"train": names, "validation": [], "test": ["t"], "twin": {"validation": names[3:5]}},
        {"train": names, "validation": [], "test": ["t"]},
    ):
        sides = sides_of(card.with_changes(data=data))
        assert len(sides["validation"]) == 2
        assert not set(sides["fit"]) & set(sides["validation"])
        assert len(sides["fit"]) + 2 == 16
