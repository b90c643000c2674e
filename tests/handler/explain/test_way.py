"""A request for an explanation, the whole way in this process: what it says, what it refuses, and that nothing it is
sent or meets costs more than its own answer."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from handler.decode import decode
from handler.errors import RequestError
from handler.explain import work
from handler.explain.asked import METHODS, PARSERS, QUESTIONS, SHARED, read_asked
from handler.explain.beside import Beside
from handler.explain.pictures import drawn, over
from handler.explain.way import explain
from handler.outcome import Outcome
from handler.pipeline import Model, open_model
from handler.wanted import FOLDER_VARIABLE
from prove.drawn.pictures import png as picture
from prove.drawn.volumes import nifti
from samples.make import png, stack_tiff
from samples.phantom import draw, draw_stack
from tests.contract import NOTICE, check_problem
from tests.gates import by_t1
from tests.handler.models import FLAIR_RULE, forbidden, model
from tests.handler.trust.test_way import bright
from tests.handler.volumes.test_way import head
from tests.tiny import write_tiny_release

PHANTOM = draw(1, 0.1)
SCAN = png(PHANTOM)
LONG = {"x-brainseg-seconds": "300"}
FINE = {**LONG, "x-brainseg-method": "occlusion"}
OCCLUSION = {**FINE, "x-brainseg-window": "64"}
KEYS = {
    *("model", "input", "slice", "method", "question", "threshold", "window", "windows", "layer", "unit", "baseline"),
    *("range", "images", "said", "deletion", "trust", "seconds", "notice"),
}


def ask(model: Model, data: bytes, headers: Mapping[str, str]) -> Outcome:
    return explain(model, {"body": bytearray(data)}, headers)


def told(model: Model, data: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
    reply = ask(model, data, headers).answer
    assert reply.status == 200, reply.body
    body: dict[str, Any] = json.loads(reply.body)
    assert set(body) == KEYS
    assert body["notice"] == NOTICE
    return body


def refused(model: Model, data: bytes, code: str, headers: Mapping[str, str]) -> str:
    outcome = ask(model, data, headers)
    reply = outcome.answer
    assert outcome.code == code
    return str(check_problem(reply.status, reply.content_type, reply.body, code)["detail"])


def pixels(body: Mapping[str, Any], name: str) -> NDArray[Any]:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(body["images"][name]))))


def values(body: Mapping[str, Any]) -> NDArray[np.float64]:
    low, high = body["range"]
    return low + (high - low) * pixels(body, "heat") / 65535


@pytest.fixture(scope="module")
def finder() -> Model:
    return model(FLAIR_RULE, batch=8)


def test_the_answer_says_what_it_is_of_and_points_at_the_lesion(finder: Model) -> None:
    body = told(finder, SCAN, {**FINE, "x-brainseg-question": "area"})
    assert (body["method"], body["question"], body["slice"], body["threshold"]) == ("occlusion", "area", 0, 0.5)
    assert (body["window"], body["layer"]) == (32, None)
    assert body["unit"].startswith("pixels")
    heat = values(body)
    assert heat.shape == PHANTOM.mask.shape == pixels(body, "overlay").shape[:2]
    shares = heat.clip(0) / heat.clip(0).sum()
    assert shares[PHANTOM.mask].sum() > 5 * PHANTOM.mask.mean()
    assert np.hypot(*(np.array(np.unravel_index(heat.argmax(), heat.shape)) - np.argwhere(PHANTOM.mask).mean(0))) < 32
    found = body["deletion"]
    assert found["faithful"]
    assert found["without_most_important"]["area"] < min(one["area"] for one in found["without_random"])
    assert "hangs on what is bright" in found["said"]
    assert "not whether the answer is right" in body["said"]
    assert body["trust"] == {"accepted": None, "score": None, "reasons": [], "gate": "none"}
    assert body["seconds"] > 0


def test_where_the_answer_hangs_on_nothing_that_is_said() -> None:
    """A network that sees no tumour wherever: no tenth moves it."""
    blind = model(FLAIR_RULE)
    black = np.full((64, 64, 3), 60, np.uint8)
    found = told(blind, picture(black), OCCLUSION)["deletion"]
    assert not found["faithful"]
    assert "nothing should be read into this map" in found["said"]


@pytest.mark.parametrize(("height", "width"), [(100, 301), (300, 40)])
def test_pictures_have_the_size_of_the_input(finder: Model, height: int, width: int) -> None:
    resized = np.asarray(Image.fromarray(PHANTOM.image).resize((width, height)))
    body = told(finder, picture(resized), OCCLUSION)
    assert pixels(body, "heat").shape == (height, width)
    assert pixels(body, "overlay").shape == (height, width, 3)
    assert body["window"] == 64


def test_a_stack_needs_to_be_told_which_slice(finder: Model) -> None:
    stack = stack_tiff(draw_stack(3))
    assert "0 to 7; say which" in refused(forbidden(), stack, "invalid_parameter", OCCLUSION)
    assert "asks for 8" in refused(forbidden(), stack, "invalid_parameter", {**OCCLUSION, "x-brainseg-slice": "8"})
    of_stack = told(finder, stack, {**OCCLUSION, "x-brainseg-slice": "4"})
    alone = told(finder, picture(decode(stack).pixels[4]), OCCLUSION)
    assert (of_stack["slice"], of_stack["input"]["slices"]) == (4, 8)
    assert of_stack["images"] == alone["images"]


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "LPI"])
def test_a_volumes_map_lies_as_its_slices_do(finder: Model, orientation: str) -> None:
    scan, lesion = head()
    chosen = {"x-brainseg-slice": str(np.argmax(lesion.sum(axis=(1, 2)))), "x-brainseg-window": "32"}
    import nibabel

    image = nibabel.Nifti1Image.from_bytes(nifti(scan))
    turned = image.as_reoriented(
        nibabel.orientations.ornt_transform(
            nibabel.io_orientation(image.affine), nibabel.orientations.axcodes2ornt(tuple(orientation))
        )
    )
    index = int(np.argmax((np.asarray(turned.dataobj) >= 900).sum(axis=(0, 1))))
    body = told(finder, turned.to_bytes(), {**OCCLUSION, **chosen, "x-brainseg-slice": str(index)})
    mask = (np.asarray(turned.dataobj)[..., index] >= 900).T
    heat = values(body)
    assert heat.shape == mask.shape
    assert heat[mask].mean() > 3 * heat[~mask].mean()


def test_slices_that_are_not_the_files_own_are_refused(finder: Model) -> None:
    import nibabel

    scan, _ = head(size=(40, 44, 40), spacing=(3.0, 3.0, 3.0))
    image = nibabel.Nifti1Image.from_bytes(nifti(scan))
    sagittal = image.as_reoriented(
        nibabel.orientations.ornt_transform(
            nibabel.io_orientation(image.affine), nibabel.orientations.axcodes2ornt(("A", "S", "R"))
        )
    )
    detail = refused(forbidden(), sagittal.to_bytes(), "unsupported_shape", {**OCCLUSION, "x-brainseg-slice": "3"})
    assert "axial slices" in detail


def test_what_the_model_does_not_know_gets_no_map_unless_the_gate_is_off(finder: Model) -> None:
    gated = dataclasses.replace(finder, gate=by_t1())
    other = png(bright(PHANTOM))
    outcome = ask(dataclasses.replace(forbidden(), gate=by_t1()), other, OCCLUSION)
    assert (outcome.code, outcome.answer.headers["X-BrainSeg-Refused"]) == ("not_assessed", "other_contrast")
    assert told(gated, SCAN, OCCLUSION)["trust"]["accepted"] is True
    overruled = told(gated, other, {**OCCLUSION, "x-brainseg-gate": "off"})["trust"]
    assert (overruled["gate"], overruled["accepted"]) == ("off", False)


def test_what_has_nothing_to_explain_says_so(finder: Model) -> None:
    black = picture(np.zeros((64, 64, 3), np.uint8))
    assert "black" in refused(forbidden(), black, "nothing_to_explain", OCCLUSION)
    healthy = png(draw(1))
    area = {**OCCLUSION, "x-brainseg-question": "area"}
    assert "ask question=verdict" in refused(finder, healthy, "nothing_to_explain", area)
    assert told(finder, healthy, OCCLUSION)["deletion"]["whole"]["max_probability"] < 0.5


def test_too_little_time_is_a_refusal_and_not_a_hang() -> None:
    late = dataclasses.replace(model(FLAIR_RULE), deadline_seconds=-1.0)
    assert "seconds" in refused(late, SCAN, "timeout", OCCLUSION)


class TestAsked:
    @pytest.mark.parametrize(
        ("headers", "words"),
        [
            ({"x-brainseg-method": "guess"}, "expected one of gradcam, occlusion"),
            ({"x-brainseg-question": "why"}, "expected one of verdict, area"),
            ({"x-brainseg-slice": "-1"}, "expected a whole number, 0 to 999999"),
            ({"x-brainseg-window": "7", "x-brainseg-method": "occlusion"}, "8 to 512"),
            ({"x-brainseg-window": "32"}, "is for method=occlusion"),
            ({"x-brainseg-seconds": "301"}, "1 to 300"),
            ({"x-brainseg-seconds": "9" * 300}, "at most 200 characters"),
            ({"x-brainseg-outputs": "mask"}, "says nothing about an explanation"),
            ({"x-brainseg-tta": "flip"}, "says nothing about an explanation"),
            ({"x-brainseg-slize": "1"}, "says nothing about an explanation"),
            ({"x-brainseg-threshold": "2"}, "above 0 and below 1"),
        ],
    )
    def test_what_cannot_be_meant_is_refused_before_the_network_runs(self, headers: dict[str, str], words: str) -> None:
        assert words in refused(forbidden(), SCAN, "invalid_parameter", headers)

    def test_a_form_is_read_as_a_raw_body_is(self) -> None:
        form = {"content-type": "multipart/form-data"}
        parts = {"file": bytearray(SCAN), "method": bytearray(b"occlusion"), "slice": b"0", "threshold": b"0.3"}
        request, asked = read_asked(parts, {**form, "X-BrainSeg-Question": "area"})
        assert (asked.method, asked.slice, asked.question, request.fields.threshold) == ("occlusion", 0, "area", 0.3)
        assert request.scans["file"] == SCAN
        reply = explain(forbidden(), {**parts, "slice": b"0"}, {**form, "x-brainseg-slice": "0"}).answer
        assert b"given twice" in reply.body
        reply = explain(forbidden(), {"file": bytearray(SCAN), "tta": b"flip"}, form).answer
        assert b"says nothing about an explanation" in reply.body

    def test_the_answer_is_json_and_nothing_else(self) -> None:
        assert "application/json" in refused(forbidden(), SCAN, "not_acceptable", {"accept": "image/png"})

    @given(st.dictionaries(st.sampled_from([*PARSERS, *SHARED, "outputs", "file"]), st.text(max_size=12), max_size=4))
    def test_no_field_gets_an_error_of_ours(self, fields: dict[str, str]) -> None:
        headers = {f"x-brainseg-{name}": value for name, value in fields.items()}
        outcome = explain(model(FLAIR_RULE), {"body": b"no scan"}, headers)
        assert outcome.code in ("invalid_parameter", "unsupported_format")

    @pytest.mark.parametrize("data", [b"", b"text", SCAN[:100], b"\x89PNG\r\n\x1a\n"])
    def test_what_is_no_scan_is_refused_as_by_a_segmentation(self, data: bytes) -> None:
        assert ask(forbidden(), data, {}).answer.status in (400, 415, 422)


class TestPictures:
    def test_the_map_can_be_read_back(self) -> None:
        heat = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32)
        steps = drawn(heat)
        back = heat.min() + (heat.max() - heat.min()) * steps / 65535
        assert np.abs(back - heat).max() < 1e-4
        assert (steps.min(), steps.max()) == (0, 65535)

    def test_a_flat_map_is_dark_and_the_scan_stays_as_it_is(self) -> None:
        scan = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
        for level in (0.0, -1.0):
            flat = np.full((20, 30), level, np.float32)
            assert not drawn(flat).any()
            assert np.array_equal(over(scan, flat), scan)

    def test_what_is_hot_is_coloured_the_more(self) -> None:
        scan = np.full((1, 3, 3), 100, np.uint8)
        shown = over(scan, np.array([[-1.0, 0.5, 1.0]], np.float32))
        assert np.array_equal(shown[0, 0], scan[0, 0])
        change = np.abs(shown.astype(int) - scan).sum(axis=2)[0]
        assert change[2] > change[1] > 0


@pytest.mark.slow
class TestGradients:
    """By a process beside this one, of a tiny release."""

    @pytest.fixture(scope="class")
    def release(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
        opened = open_model(write_tiny_release(tmp_path_factory.mktemp("store")), "torch", 1)
        yield opened
        assert opened.beside is not None
        opened.beside.close()

    def test_the_answer_names_the_layer(self, release: Model) -> None:
        body = told(release, SCAN, LONG)
        assert (body["method"], body["question"], body["window"], body["unit"]) == ("gradcam", "verdict", None, None)
        assert body["layer"]["cell"] == 16
        assert body["range"][0] >= 0
        assert pixels(body, "heat").shape == PHANTOM.mask.shape
        assert told(release, SCAN, LONG)["images"] == body["images"]

    def test_a_process_that_ended_is_started_anew(self, release: Model) -> None:
        told(release, SCAN, LONG)
        assert release.beside is not None
        first = release.beside.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        told(release, SCAN, LONG)
        assert release.beside.pid not in (None, first)

    def test_nobody_waits_for_one_that_takes_too_long(self, release: Model) -> None:
        told(release, SCAN, LONG)
        assert release.beside is not None
        assert release.beside.pid is not None
        os.kill(release.beside.pid, signal.SIGSTOP)  # as if it computed for ever
        image, region = np.zeros((1, 3, 64, 64), np.float32), np.zeros((64, 64), bool)
        with pytest.raises(RequestError, match="not there within 5 s") as refusal:
            release.beside.gradcam("verdict", image, region, time.monotonic() + 0.3, 5)
        assert refusal.value.code == "timeout"
        assert release.beside.pid is None
        told(release, SCAN, LONG)

    def test_a_release_without_files_says_so(self, finder: Model) -> None:
        assert "method=occlusion" in refused(finder, SCAN, "explain_unavailable", LONG)

    def test_weights_that_cannot_be_loaded_are_said(self, tmp_path: Path) -> None:
        (tmp_path / "model-card.json").write_text("{}")
        image, region = np.zeros((1, 3, 64, 64), np.float32), np.zeros((64, 64), bool)
        broken = Beside(tmp_path, 1)
        try:
            with pytest.raises(RequestError, match=r"No gradient can be had \(ValueError\).*method=occlusion"):
                broken.gradcam("verdict", image, region, float("inf"), 300)
        finally:
            broken.close()


class TestWork:
    """What the process beside does, in a thread."""

    def line(self) -> tuple[Any, Any]:
        import socket
        from multiprocessing.connection import Connection

        ours, theirs = socket.socketpair()
        return Connection(ours.detach()), Connection(theirs.detach())

    def test_it_ends_when_nobody_asks_and_when_nobody_is_there(self, tmp_path: Path) -> None:
        for leave in (False, True):
            ours, theirs = self.line()
            thread = threading.Thread(target=work.serve, args=(tmp_path, 1, theirs, 600.0 if leave else 0.05))
            thread.start()
            assert ours.recv_bytes() == b"ready"
            if leave:
                ours.close()
            thread.join(120)
            assert not thread.is_alive()

    def test_without_pytorch_it_says_so(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(__import__("sys").modules, "torch", None)
        ours, theirs = self.line()
        threading.Thread(target=work.serve, args=(tmp_path, 1, theirs), daemon=True).start()
        ours.recv_bytes()
        ours.send_bytes(json.dumps({"question": "verdict", "shape": [1, 3, 2, 2]}).encode())
        ours.send_bytes(bytes(4 * 12))
        ours.send_bytes(bytes(4))
        assert json.loads(ours.recv_bytes()) == {"error": "torch is not installed here."}
        ours.close()


def test_work_that_nobody_waits_for_is_stopped(finder: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    assert ask(finder, SCAN, {**OCCLUSION, "X-Wanted": "0" * 32}).code == "gone"


def test_the_fields_are_named_once() -> None:
    assert set(METHODS) == {"gradcam", "occlusion"}
    assert set(QUESTIONS) == {"verdict", "area"}
    assert not set(PARSERS) & set(SHARED)
