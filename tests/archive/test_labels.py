"""The archive of a network of several classes: converted, proven equal to PyTorch, served as a worker serves it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from archive.engines.parity import parity_inputs
from archive.known import difference
from archive.mar import package
from archive.store import archive_path, release_folder
from archive.verify import read_release
from handler.card import FileRecord, InputSpec, ModelCard
from handler.compose import probabilities
from handler.engines import open_engine
from handler.labels import ACTIVATIONS, SIGMOID, SOFTMAX
from handler.network import build
from handler.pipeline import answer, open_model
from samples.make import FOLDER
from tests.contract import check_answer
from tests.labelled import LABELS, REGIONS
from tests.tiny import TINY
from training.release.folder import write_release

pytestmark = pytest.mark.slow
ENGINE = {SOFTMAX: "onnxruntime", SIGMOID: "ncnn"}
VERSION = {SOFTMAX: "5.0", SIGMOID: "6.0"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both activations, random weights of a fixed seed."""
    store = tmp_path_factory.mktemp("store")
    for activation in ACTIVATIONS:
        torch.manual_seed(0)
        architecture = type(TINY)(TINY.decoder, TINY.encoder, TINY.decoder_channels, classes=4)
        if activation == SIGMOID:
            architecture = type(TINY)(TINY.decoder, TINY.encoder, TINY.decoder_channels, classes=3)
        card = ModelCard(
            name="brainseg",
            version=VERSION[activation],
            weights=FileRecord("weights.safetensors", "", 0),
            architecture=architecture,
            input=InputSpec(64, 64),
            labels=LABELS,
            regions=REGIONS[activation],
            activation=activation,
        )
        folder = release_folder(card.version, store)
        write_release(folder, build(architecture).state_dict(), card)
        package(folder, archive_path(card.version, store), engine=ENGINE[activation])
    return store


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_engine_computes_what_pytorch_computes(store: Path, activation: str) -> None:
    release = read_release(archive_path(VERSION[activation], store))
    card = release.card
    assert (card.labels, card.regions, card.activation) == (LABELS, REGIONS[activation], activation)
    record = card.parity[ENGINE[activation]]
    assert record["within"]
    assert record["max_probability_difference"] < 1e-3
    reference = open_engine("torch", card, release_folder(VERSION[activation], store), 1)
    image = parity_inputs(card)[0]
    found = probabilities(reference.logits(image), card)
    assert found.shape == (1, 3, *image.shape[2:])
    assert found.std() > 0  # else the comparison would say nothing


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_known_answers_and_labels_of_a_sample(store: Path, activation: str) -> None:
    known_answers = read_release(archive_path(VERSION[activation], store)).card.known_answers
    model = open_model(release_folder(VERSION[activation], store), "torch", 1)
    for known in known_answers[:1]:
        reply = answer(model, {"body": (FOLDER / known["sample"]).read_bytes()}, {}).answer
        body = check_answer(reply.body)
        assert difference(known, json.loads(reply.body), half=False) is None
        assert [label["name"] for label in body["labels"]] == [label.name for label in LABELS]
        assert np.isfinite([label["max_probability"] for label in body["labels"]]).all()
