"""The archive of a classifier: converted, proven, with known answers, and told apart from a segmentation's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from archive.engines.measure import Speed, measure
from archive.errors import UntrustedError
from archive.known import difference
from archive.mar import package
from archive.store import TYPES_NAME, archive_path, release_folder, released_versions
from archive.verify import _card, read_release
from handler.card import CARD_FILE
from handler.engines import open_engine
from handler.pipeline import open_model
from handler.types.way import classify
from samples.make import FOLDER, HEALTHY, LESION
from tests.tiny import write_tiny_release, write_tiny_types

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("store")
    write_tiny_release(store, "2.0")
    package(write_tiny_types(store), archive_path("0.1", store, TYPES_NAME), engine="onnxruntime")
    return store


def test_the_models_of_a_store_are_told_apart(store: Path) -> None:
    assert released_versions(store) == ["2.0"]
    assert released_versions(store, TYPES_NAME) == ["0.1"]


def test_the_archive_is_verified_and_holds_an_engine_that_computes_the_same(store: Path) -> None:
    release = read_release(store / "brainseg-types-0.1.mar")
    assert release.card.name == TYPES_NAME
    assert release.file_name.startswith("brainseg-types-0.1-")
    record = release.card.parity["onnxruntime"]
    assert record["within"]
    assert record["max_probability_difference"] < 1e-3
    assert set(release.samples) == {LESION, HEALTHY}


def test_known_answers_are_those_of_the_network(store: Path) -> None:
    card = read_release(store / "brainseg-types-0.1.mar").card
    model = open_model(release_folder("0.1", store, TYPES_NAME), "torch", 1)
    for known in card.known_answers:
        body = json.loads(classify(model, {"body": (FOLDER / known["sample"]).read_bytes()}, {}).answer.body)
        assert difference(known, body, half=False) is None
        moved = {**body, "probabilities": {**body["probabilities"], "glioma": body["probabilities"]["glioma"] + 0.1}}
        assert "glioma" in (difference(known, moved, half=False) or "")
        fewer = {**body, "probabilities": {"glioma": 1.0}}
        assert "classes glioma" in (difference(known, fewer, half=False) or "")


def test_a_classifier_is_measured_without_a_map(store: Path) -> None:
    release = release_folder("0.1", store, TYPES_NAME)
    model = open_model(release, "torch", 1)
    speeds = measure(model.card, [open_engine("torch", model.card, release, 1)])
    assert isinstance(speeds["torch"], Speed)
    assert speeds["torch"].lone > 0


@pytest.mark.parametrize(("model", "name"), [("brainseg-types", "brainseg"), ("brainseg", "brainseg-types")])
def test_one_cannot_pass_for_the_other(store: Path, model: str, name: str) -> None:
    folder = release_folder("0.1" if model == TYPES_NAME else "2.0", store, model)
    card = json.loads((folder / CARD_FILE).read_text("utf-8")) | {"name": name}
    with pytest.raises(UntrustedError, match=f"expected {model} and such as"):
        _card({CARD_FILE: json.dumps(card).encode()})
