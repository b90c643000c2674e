from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from handler import service
from handler.card import parse_card
from handler.decode import decode
from handler.pipeline import Model, open_model
from handler.preprocess import network_grid, tensor_of
from handler.service import BrainSegService
from handler.types.way import after_contrast, classify, probabilities
from prove.drawn.pictures import png
from samples.make import FOLDER
from tests.handler.test_service import context_of
from tests.tiny import LABELS, write_tiny_types

LESION = (FOLDER / "lesion.png").read_bytes()


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_types(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def model(release: Path) -> Model:
    return open_model(release, "torch", 1)


def ask(model: Model, body: bytes = LESION, **headers: str) -> tuple[int, dict[str, Any]]:
    outcome = classify(model, {"body": body}, headers)
    return outcome.answer.status, json.loads(outcome.answer.body)


def test_a_slice_is_named_with_a_probability_for_each_label(model: Model) -> None:
    status, body = ask(model)
    assert status == 200
    assert tuple(body["probabilities"]) == LABELS
    assert sum(body["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    assert body["label"] == max(LABELS, key=body["probabilities"].__getitem__)
    assert body["model"] == {
        "name": "brainseg-types",
        "version": "0.1",
        "digest": model.card.weights.sha256,
        "architecture": model.card.architecture.label,
    }
    assert body["input"]["format"] == "png"
    assert body["input"]["slices"] == 1
    assert body["trust"] == {"accepted": None, "score": None, "reasons": [], "gate": "none"}
    assert [one["code"] for one in body["warnings"]] == ["assumes_tumour"]
    assert body["notice"] == "Research use only. Not a medical device."
    assert set(body["timing_ms"]) == {"decode", "preprocess", "inference"}


def test_it_is_what_the_network_says_calibrated(model: Model) -> None:
    grid = after_contrast(network_grid(decode(LESION), model.card.input)[0])
    tensor = tensor_of(grid[None], model.card.input)
    logits = torch.from_numpy(model.engine.logits(tensor).reshape(-1))
    expected = torch.softmax(logits * model.card.calibration.scale, dim=0).numpy()
    _, body = ask(model)
    assert list(body["probabilities"].values()) == pytest.approx(expected.tolist(), abs=1e-4)


def test_of_three_sequences_the_one_after_contrast_is_seen(model: Model) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
    grey = np.repeat(pixels[..., 2:], 3, axis=-1)
    said = [ask(model, png(one))[1]["probabilities"] for one in (pixels, grey, pixels[..., 2:], pixels[..., 1:2])]
    assert said[0] == said[1] == said[2] != said[3]


def test_a_stack_wants_to_know_which_slice(model: Model) -> None:
    stack = (FOLDER / "stack.tiff").read_bytes()
    status, body = ask(model, stack)
    assert (status, body["code"]) == (400, "invalid_parameter")
    assert "0 to 7" in body["detail"]
    status, body = ask(model, stack, **{"X-BrainSeg-Slices": "3"})
    assert (status, body["slice"]) == (200, 3)
    status, body = ask(model, stack, **{"X-BrainSeg-Slices": "8"})
    assert (status, body["code"]) == (400, "invalid_parameter")


def test_a_volume_is_named_slice_by_slice(model: Model) -> None:
    volume = (FOLDER / "head.nii.gz").read_bytes()
    status, body = ask(model, volume, **{"X-BrainSeg-Slices": "1"})
    assert (status, body["input"]["format"]) == (200, "nifti")


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        (b"", {}, "empty_body"),
        (b"no scan at all", {}, "unsupported_format"),
        (LESION[:200], {}, "corrupt_image"),
        (LESION, {"X-BrainSeg-Threshold": "0.7"}, "invalid_parameter"),
        (LESION, {"X-BrainSeg-Outputs": "mask"}, "invalid_parameter"),
        (LESION, {"X-BrainSeg-Unknown": "1"}, "invalid_parameter"),
        (LESION, {"Accept": "image/png"}, "not_acceptable"),
    ],
)
def test_what_cannot_be_named_is_refused(model: Model, body: bytes, headers: dict[str, str], code: str) -> None:
    status, told = ask(model, body, **headers)
    assert told["code"] == code
    assert 400 <= status < 500


def test_a_network_that_answers_nan_is_our_fault_and_told_so(model: Model) -> None:
    class Broken:
        name = "broken"
        threads = batch = at_once = 1

        def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
            return np.full((len(images), 1, 3), np.nan, np.float32)

    with pytest.raises(ArithmeticError, match="broken"):
        probabilities(Broken(), model.card, np.zeros((64, 64, 3), np.float32))
    status, body = ask(dataclasses.replace(model, engine=Broken()))
    assert (status, body["code"]) == (500, "internal_error")


def test_the_service_names_and_does_not_explain(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAINSEG_ENGINE", "torch")
    monkeypatch.setenv("BRAINSEG_THREADS", "1")
    context = context_of({}, {"explain": "True"}, folder=release)
    context.system_properties["model_dir"] = str(release)
    served = BrainSegService()
    served.initialize(context)
    named, refused = (json.loads(one) for one in served.handle([{"body": LESION}, {"body": LESION}], context))
    assert named["label"] in LABELS
    assert refused["code"] == "explain_unavailable"
    assert ("types-0.1", "ok") in context.metrics.labels("brainseg_requests")
    assert not context.metrics.labels("brainseg_verdicts")
    assert service.classify is classify


def test_a_card_has_as_many_labels_as_classes(release: Path, model: Model) -> None:
    again = parse_card(model.card.to_json())
    assert again.labels == LABELS
    for labels in ((), LABELS[:2], (*LABELS[:2], LABELS[0])):
        with pytest.raises(ValueError, match="expected 3, each once"):
            model.card.with_changes(labels=labels)
