"""Models beside the segmentation: told apart by name in the store, in an archive's card and at TorchServe's start."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from archive.errors import UntrustedError
from archive.store import MODEL_NAME, REGIONS_NAME, TYPES_NAME, released_versions
from archive.verify import _card
from handler.card import CARD_FILE, FileRecord, ModelCard
from handler.labels import SOFTMAX
from handler.resources import Plan
from rollout.types import FILES, DeployedTypes, write_types
from serving.chosen import beside_to_serve
from serving.torchserve import Places, snapshot
from tests.labelled import LABELS, REGIONS
from tests.tiny import TINY


def card(name: str, labelled: bool) -> ModelCard:
    classes = {"labels": LABELS, "regions": REGIONS[SOFTMAX], "activation": SOFTMAX} if labelled else {}
    architecture = type(TINY)(TINY.decoder, TINY.encoder, TINY.decoder_channels, classes=4 if labelled else 1)
    return ModelCard(name, "0.1", FileRecord("weights.safetensors", "", 0), architecture, **classes)


def test_versions_of_one_are_none_of_another(tmp_path: Path) -> None:
    for name in (f"{MODEL_NAME}-2.0", f"{TYPES_NAME}-0.1", f"{REGIONS_NAME}-0.3"):
        (tmp_path / name).mkdir()
        (tmp_path / name / CARD_FILE).write_text("{}")
    assert [released_versions(tmp_path, model) for model in (MODEL_NAME, TYPES_NAME, REGIONS_NAME)] == [
        ["2.0"], ["0.1"], ["0.3"],
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "labelled", "taken"), [
    (REGIONS_NAME, True, True), (MODEL_NAME, True, True), (MODEL_NAME, False, True),
    (REGIONS_NAME, False, False), (TYPES_NAME, True, False),
])  # fmt: skip
def test_a_name_is_of_models_of_its_kind(name: str, labelled: bool, taken: bool) -> None:
    members = {CARD_FILE: card(name, labelled).to_json().encode()}
    if taken:
        assert _card(members).name == name
        return
    with pytest.raises(UntrustedError, match="expected brainseg"):
        _card(members)


def test_torchserve_is_told_of_each_with_one_version() -> None:
    timeouts = {"responseTimeout": 1, "startupTimeout": 2}
    told = snapshot({"1.0": "a.mar"}, "1.0", Plan(1, 1), timeouts, {TYPES_NAME: {}, REGIONS_NAME: {"0.1": "r.mar"}})
    models = json.loads(told)["models"]
    assert set(models) == {MODEL_NAME, REGIONS_NAME}
    assert models[REGIONS_NAME]["0.1"]["marName"] == "r.mar"
    assert models[REGIONS_NAME]["0.1"]["defaultVersion"]


def test_a_demonstration_is_served_only_where_it_was_deployed(tmp_path: Path) -> None:
    from handler.files import sha256_of
    from rollout.signers import Signers

    store, state = tmp_path / "store", tmp_path / "state"
    (store / f"{REGIONS_NAME}-0.1").mkdir(parents=True)
    state.mkdir()
    (store / f"{REGIONS_NAME}-0.1" / CARD_FILE).write_text("{}")
    places = Places(state, tmp_path, store)
    assert beside_to_serve(places, threading.Event(), Signers(), REGIONS_NAME) == {}
    (store / "r.mar").write_bytes(b"an archive")
    write_types(state / FILES[REGIONS_NAME], DeployedTypes("0.1", "r.mar", sha256_of(store / "r.mar")))
    assert beside_to_serve(places, threading.Event(), Signers(), REGIONS_NAME) == {"0.1": "r.mar"}
