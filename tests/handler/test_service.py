"""The TorchServe class with TorchServe's own context object, without a server: batches, faults, metrics."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from ts.context import Context, RequestProcessor

from handler import service
from handler.decode import decode
from handler.pipeline import Model
from handler.service import BrainSegService
from prove.drawn.pictures import jpeg, png
from samples.phantom import draw
from tests.contract import check_answer, check_problem, picture
from tests.handler.models import dice
from tests.tiny import TINY, write_tiny_release

ROOT = Path(__file__).parents[2]
PHANTOMS = [draw(seed, 0.08) for seed in range(2)]


class Metrics:
    """Takes only what ``deploy/metrics.yaml`` declares, as TorchServe does, and keeps it."""

    def __init__(self) -> None:
        declared = yaml.safe_load((ROOT / "deploy/metrics.yaml").read_text())["model_metrics"]
        self.declared = {
            (metric["name"], kind): len(metric["dimensions"])
            for kind, metrics in declared.items()
            for metric in metrics
        }
        self.seen: list[tuple[str, tuple[str, ...], float]] = []

    def get_metric(self, name: str, kind: Any) -> Any:
        dimensions = self.declared[name, kind.value]

        class Metric:
            def add_or_update(metric, value: float, labels: list[str], request_id: str) -> None:  # noqa: N805
                assert len(labels) == dimensions
                assert request_id.startswith("request-")
                self.seen.append((name, tuple(labels), value))

        return Metric()

    def labels(self, name: str) -> list[tuple[str, ...]]:
        return [labels for metric, labels, _ in self.seen if metric == name]


def context_of(*headers: dict[str, Any], folder: Path = Path(), settings: dict[str, Any] | None = None) -> Any:
    context = Context("brainseg", str(folder), {}, len(headers), None, "0.12.0", model_yaml_config=settings)
    context.metrics = Metrics()
    context.request_processor = [RequestProcessor(dict(header)) for header in headers]
    context.request_ids = {index: f"request-{index}" for index in range(len(headers))}
    return context


@pytest.fixture
def running(flair: Model, monkeypatch: pytest.MonkeyPatch) -> BrainSegService:
    monkeypatch.setattr(service, "open_model", lambda *_, **__: flair)
    started = BrainSegService()
    started.initialize(context_of())
    return started


GOOD = {"Content-Type": "image/png"}


def test_each_item_of_a_batch_has_its_own_fate(running: BrainSegService) -> None:
    first, second = png(PHANTOMS[0].image), jpeg(PHANTOMS[1].image)
    batch = [
        {"body": bytearray(first)},
        {"body": bytearray(first[:200])},
        {"file": bytearray(first), "treshold": bytearray(b"0.5")},
        {"body": bytearray(second)},
    ]
    form = {"Content-Type": "multipart/form-data; boundary=x", "content-type": {"content-type": "image/png"}}
    context = context_of(GOOD, GOOD, form, {"Accept": "application/json"})
    bodies = running.handle(batch, context)

    assert [context.get_response_status(i) for i in range(4)] == [
        (200, "OK"),
        (422, "Unprocessable Entity"),
        (400, "Bad Request"),
        (200, "OK"),
    ]
    for index, code in ((1, "corrupt_image"), (2, "invalid_parameter")):
        status, kind = context.get_response_status(index)[0], context.get_response_content_type(index)
        check_problem(status, kind, bodies[index], code)
    for index, data, phantom in ((0, first, PHANTOMS[0]), (3, second, PHANTOMS[1])):
        together = check_answer(bodies[index])
        (alone,) = map(check_answer, running.handle([{"body": bytearray(data)}], context_of(GOOD)))
        del together["timing_ms"], alone["timing_ms"]
        assert together == alone
        mask = decode(picture(together, "mask")).pixels[0, ..., 0] == 255
        assert dice(mask, phantom.mask) > 0.95


def test_a_client_cannot_shorten_a_batch(running: BrainSegService) -> None:
    """TorchServe asks for a description with a header that any client may send too."""
    batch = [{"body": bytearray(png(PHANTOMS[0].image))}] * 3
    bodies = running.handle(batch, context_of({**GOOD, "describe": "True"}, GOOD, GOOD))
    assert len(bodies) == 3
    assert [check_answer(body)["verdict"] for body in bodies[1:]] == ["tumor_detected"] * 2


def test_a_description_alone_is_the_model_card(running: BrainSegService) -> None:
    (body,) = running.handle([{}], context_of({"describe": "True"}))
    assert json.loads(body)["name"] == "brainseg"


def test_a_bare_mask_and_its_headers(running: BrainSegService) -> None:
    context = context_of({"accept": "image/png"})
    (body,) = running.handle([{"body": bytearray(png(PHANTOMS[0].image))}], context)
    assert context.get_response_content_type(0) == "image/png"
    assert dice(decode(body).pixels[0, ..., 0] == 255, PHANTOMS[0].mask) > 0.95
    headers = context.get_response_headers(0)
    assert headers["X-BrainSeg-Verdict"] == "tumor_detected"
    assert all(isinstance(value, str) and value.isascii() for pair in headers.items() for value in pair)


def test_what_is_counted(running: BrainSegService) -> None:
    context = context_of(GOOD, GOOD)
    running.handle([{"body": bytearray(png(PHANTOMS[0].image))}, {"body": bytearray(b"text")}], context)
    metrics = context.metrics
    assert metrics.labels("brainseg_requests") == [("1.0", "ok"), ("1.0", "unsupported_format")]
    assert metrics.labels("brainseg_verdicts") == [("1.0", "tumor_detected")]
    stages = ["decode", "preprocess", "inference", "render", "total"]
    assert sorted(metrics.labels("brainseg_stage_seconds")) == sorted(
        ("1.0", stage) for stage in [*stages, "decode", "total"]
    )
    (coverage,) = (value for name, _, value in metrics.seen if name == "brainseg_tumor_coverage_percent")
    assert coverage == pytest.approx(100 * PHANTOMS[0].mask.mean(), abs=0.3)


def test_an_explanation_is_asked_for_by_a_header_and_counted_apart(running: BrainSegService) -> None:
    """As TorchServe marks what comes by its path for explanations; a segmentation may share the batch."""
    why = {**GOOD, "explain": "True", "X-BrainSeg-Method": "occlusion", "X-BrainSeg-Window": "128"}
    context = context_of({**why, "X-BrainSeg-Seconds": "300"}, GOOD)
    scan = {"body": bytearray(png(PHANTOMS[0].image))}
    explained, segmented = running.handle([scan, scan], context)
    assert json.loads(explained)["deletion"]["tiles"] > 0
    check_answer(segmented)
    metrics = context.metrics
    assert metrics.labels("brainseg_explanations") == [("1.0", "ok")]
    assert metrics.labels("brainseg_requests") == [("1.0", "ok")]
    assert ("1.0", "explain") in metrics.labels("brainseg_stage_seconds")


def test_handle_before_initialize() -> None:
    with pytest.raises(RuntimeError, match="initialize"):
        BrainSegService().handle([{"body": b""}], context_of(GOOD))


class TestInitialize:
    @pytest.fixture(scope="class")
    def release(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return write_tiny_release(tmp_path_factory.mktemp("store"))

    @pytest.fixture
    def copied(self, release: Path, tmp_path: Path) -> Path:
        for file in release.iterdir():
            (tmp_path / file.name).write_bytes(file.read_bytes())
        return tmp_path

    def test_a_release_answers(self, release: Path) -> None:
        started = BrainSegService()
        started.initialize(context_of(folder=release, settings={"brainseg": {"engine": "torch"}}))
        noise = np.random.default_rng(0).integers(0, 256, (50, 40, 3), np.uint8)
        answer = check_answer(started.handle([{"body": bytearray(png(noise))}], context_of(GOOD))[0])
        assert (answer["model"]["architecture"], answer["input"]["height"]) == (TINY.label, 50)

    @pytest.mark.parametrize(
        "damage",
        [
            lambda folder: (folder / "weights.safetensors").write_bytes(b"other weights"),
            lambda folder: (folder / "weights.safetensors").unlink(),
            lambda folder: (folder / "model-card.json").unlink(),
            lambda folder: (folder / "model-card.json").write_text("{}"),
            lambda folder: (folder / "model-card.json").write_bytes(b"\xff\xfe"),
        ],
    )
    def test_a_damaged_release_keeps_the_worker_from_starting(
        self, copied: Path, damage: Callable[[Path], object]
    ) -> None:
        damage(copied)
        with pytest.raises(RuntimeError, match="refuses to start"):
            BrainSegService().initialize(context_of(folder=copied))

    def test_an_unknown_engine_keeps_the_worker_from_starting(self, release: Path) -> None:
        with pytest.raises(RuntimeError, match="expected auto or one of"):
            BrainSegService().initialize(context_of(folder=release, settings={"brainseg": {"engine": "abacus"}}))

    def test_the_deadline_of_the_settings_is_kept(self, release: Path) -> None:
        started = BrainSegService()
        started.initialize(context_of(folder=release, settings={"brainseg": {"deadlineSeconds": 12}}))
        assert started._model is not None
        assert started._model.deadline_seconds == 12
        assert dataclasses.is_dataclass(started._model)
