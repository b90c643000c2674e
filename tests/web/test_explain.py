"""``POST /api/v1/explain``: the contract's table is the handler's, the way to TorchServe, and a whole server once."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import requests
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from PIL import Image
from werkzeug.test import TestResponse

import handler.explain.asked as handlers
from prove.server import Server
from samples.phantom import draw
from tests.web.standin import OK, Scripted, Stage, standing_in
from web.app import create_app
from web.contract import examples
from web.contract import explain as contract
from web.contract.fields import PROBLEM_KIND
from web.contract.openapi import document
from web.settings import Settings

DOCUMENT = document()
HERE = {"Host": "localhost"}


def client_of(stage: Stage) -> FlaskClient:
    return create_app(Settings(stage.url, stage.url)).test_client()


def post(door: FlaskClient, query: str = "") -> TestResponse:
    return door.post(f"/api/v1/explain{query}", data=b"\x89PNG scan", headers=HERE)


def check(body: object) -> None:
    Draft202012Validator(DOCUMENT | {"$ref": "#/components/schemas/Explanation"}).validate(body)


def test_the_fields_are_the_handlers() -> None:
    assert tuple(handlers.PARSERS) == contract.FIELDS
    assert contract.SHARED == handlers.SHARED
    assert (contract.METHODS, contract.QUESTIONS) == (handlers.METHODS, handlers.QUESTIONS)


@pytest.mark.parametrize("field", contract.OWN, ids=lambda field: field.name)
def test_the_handler_takes_what_the_document_offers(field: contract.Field) -> None:
    schema = field.schema
    values = schema.get("enum") or [schema["minimum"], schema["maximum"]]
    for value in (*values, field.example):
        handlers.PARSERS[field.name](str(value))
    for wrong in ("", "no", *([] if "enum" in schema else [schema["minimum"] - 1, schema["maximum"] + 1])):
        with pytest.raises(ValueError, match="expected"):
            handlers.PARSERS[field.name](str(wrong))


def test_the_parameters_are_its_own_and_those_that_it_shares() -> None:
    named = [one["name"] for one in DOCUMENT["paths"]["/api/v1/explain"]["post"]["parameters"]]
    assert named == ["model", "version", "threshold", "intensity_range", "series", "register", "gate", *contract.FIELDS]


class TestWay:
    """Against a TorchServe that answers from a script."""

    def test_it_asks_for_an_explanation_of_the_version(self) -> None:
        explained: Scripted = (200, "application/json", examples.EXPLANATION)
        with standing_in(Stage([explained])) as stage:
            door = client_of(stage)
            reply = post(door, "?version=1.0&method=occlusion&slice=3")
            assert reply.status_code == 200
            check(reply.get_json())
            asked = [path for method, path, _ in stage.seen if method == "POST"]
            assert asked == ["/explanations/brainseg/1.0"]
            sent = {name.lower(): value for name, value in stage.headers.items()}
            assert (sent["x-brainseg-method"], sent["x-brainseg-slice"]) == ("occlusion", "3")
            counted = door.get("/metrics", headers=HERE).get_data(as_text=True)
            assert 'brainseg_front_requests_total{code="ok",route="explain.explain"} 1.0' in counted
            assert 'brainseg_front_segmentations_total{code="ok",model_version="1.0"} 1.0' not in counted

    @pytest.mark.parametrize(
        "older",
        [
            OK,
            (400, PROBLEM_KIND, {"code": "invalid_parameter", "detail": "Unknown field 'method'; expected one of …"}),
        ],
    )
    def test_the_answer_of_a_build_of_before_is_not_taken_for_one(self, older: Scripted) -> None:
        with standing_in(Stage([older])) as stage:
            reply = post(client_of(stage))
            assert (reply.status_code, reply.get_json()["code"]) == (501, "explain_unavailable")
            assert "package it again" in reply.get_json()["detail"]

    def test_a_refusal_comes_through_with_its_code(self) -> None:
        said: Scripted = (422, PROBLEM_KIND, {"code": "nothing_to_explain", "detail": "black"})
        with standing_in(Stage([said])) as stage:
            door = client_of(stage)
            reply = post(door)
            assert (reply.status_code, reply.get_json()["code"]) == (422, "nothing_to_explain")
            assert 'code="nothing_to_explain",route="explain.explain"} 1.0' in door.get(
                "/metrics", headers=HERE
            ).get_data(as_text=True)

    @pytest.mark.parametrize("query", ["?colour=red", "?method=gradcam&method=occlusion", "?version=..%2f"])
    def test_what_cannot_be_meant_never_reaches_torchserve(self, query: str) -> None:
        with standing_in(Stage()) as stage:
            reply = post(client_of(stage), query)
            assert reply.status_code in (400, 404)
            assert stage.predicted() == 0


def ask(url: str, scan: bytes, headers: Mapping[str, str] = MappingProxyType({}), **query: str) -> dict[str, Any]:
    """Asks again while the server says that it is busy, as any client would."""
    for _ in range(20):
        reply = requests.post(url, scan, params=query, headers={"Content-Type": "image/png", **headers}, timeout=600)
        if reply.status_code != 503:
            break
        time.sleep(float(reply.headers.get("Retry-After", 1)))
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    check(found)
    return found


class TestWholeServer:
    COARSE = MappingProxyType({"method": "occlusion", "question": "area", "window": "64", "seconds": "300"})

    def test_a_phantoms_lesion_is_what_moves_the_answer(self, detector: Server, door: str, lesion: bytes) -> None:
        ours = ask(f"{door}/api/v1/explain", lesion, **self.COARSE)
        assert ours["deletion"]["faithful"]
        heat = np.asarray(Image.open(io.BytesIO(base64.b64decode(ours["images"]["heat"])))).astype(float)
        low, high = ours["range"]
        heat = (low + (high - low) * heat / 65535).clip(0)
        truth = draw(1, lesion_radius=0.09).mask
        assert heat[truth].sum() / heat.sum() > 3 * truth.mean()

        url = detector.url.replace("/predictions/", "/explanations/")  # TorchServe's own: no query reaches a handler
        sent = {f"X-BrainSeg-{name}": value for name, value in self.COARSE.items()}
        theirs = ask(f"{url}/1.0", lesion, {**detector.auth(), **sent})
        assert {**ours, "seconds": 0} == {**theirs, "seconds": 0}

    def test_gradients_too_and_the_worker_lives(self, detector: Server, door: str, lesion: bytes) -> None:
        before = detector.worker_pids()
        found = ask(f"{door}/api/v1/explain", lesion, version="2.0", seconds="300")
        assert (found["method"], found["model"]["version"], found["layer"]["cell"]) == ("gradcam", "2.0", 16)
        assert detector.worker_pids() == before

    def test_a_refusal_keeps_its_code(self, door: str, stack: bytes) -> None:
        reply = requests.post(f"{door}/api/v1/explain", stack, timeout=600)
        assert (reply.status_code, reply.json()["code"]) == (400, "invalid_parameter")
        assert "say which" in reply.json()["detail"]
