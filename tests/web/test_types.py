"""``POST /api/v1/classify``: the contract's part is the handler's, the way to TorchServe, and where no model is."""

from __future__ import annotations

import json

import pytest
import requests
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from werkzeug.test import TestResponse

import handler.types.way as handlers
from handler.pipeline import open_model
from samples.make import FOLDER
from tests.tiny import write_tiny_types
from tests.web.standin import Scripted, Stage, client_of, standing_in
from web.app import create_app
from web.contract import examples
from web.contract import types as contract
from web.contract.openapi import document
from web.settings import Settings

DOCUMENT = document()
HERE = {"Host": "localhost"}
NAMED: Scripted = (200, "application/json", examples.CLASSIFICATION)


def post(door: FlaskClient, query: str = "") -> TestResponse:
    return door.post(f"/api/v1/classify{query}", data=b"\x89PNG scan", headers=HERE)


def check(body: object) -> None:
    Draft202012Validator(DOCUMENT | {"$ref": "#/components/schemas/Classification"}).validate(body)


def test_the_fields_are_the_handlers() -> None:
    assert contract.SHARED == handlers.TAKEN
    named = [one["name"] for one in DOCUMENT["paths"]["/api/v1/classify"]["post"]["parameters"]]
    assert named == ["version", *contract.SHARED]


def test_the_handlers_answer_is_the_documents(tmp_path_factory: pytest.TempPathFactory) -> None:
    model = open_model(write_tiny_types(tmp_path_factory.mktemp("store")), "torch", 1)
    check(json.loads(handlers.classify(model, {"body": (FOLDER / "lesion.png").read_bytes()}, {}).answer.body))
    check(examples.CLASSIFICATION)


def test_it_asks_the_classifier_and_counts_apart() -> None:
    with standing_in(Stage([NAMED], versions=("0.1",))) as stage:
        door = client_of(stage)
        reply = post(door, "?version=0.1&slices=3")
        assert reply.status_code == 200
        check(reply.get_json())
        assert [path for method, path, _ in stage.seen if method == "POST"] == ["/predictions/brainseg-types/0.1"]
        sent = {name.lower(): value for name, value in stage.headers.items()}
        assert sent["x-brainseg-slices"] == "3"
        counted = door.get("/metrics", headers=HERE).get_data(as_text=True)
        assert 'brainseg_front_requests_total{code="ok",route="types.classify"} 1.0' in counted
        assert 'brainseg_front_segmentations_total{code="ok",model_version="0.1"} 1.0' not in counted


def test_a_form_does_as_well() -> None:
    with standing_in(Stage([NAMED])) as stage:
        sent = requests.Request("POST", stage.url, files={"file": ("a.png", b"\x89PNG scan")}).prepare()
        headers = HERE | {"Content-Type": sent.headers["Content-Type"]}
        reply = client_of(stage).post("/api/v1/classify", data=sent.body, headers=headers)
        assert reply.status_code == 200
        assert stage.predicted() == 1


def test_where_no_classifier_is_the_answer_says_so_and_segmentation_goes_on() -> None:
    with standing_in(Stage(absent=("brainseg-types",))) as stage:
        door = client_of(stage)
        reply = post(door)
        assert (reply.status_code, reply.get_json()["code"]) == (404, "model_not_found")
        assert "scripts/deploy" in reply.get_json()["detail"]
        assert door.post("/api/v1/segment", data=b"\x89PNG scan", headers=HERE).status_code == 200


def test_a_version_that_is_not_there_is_told_with_those_that_are() -> None:
    with standing_in(Stage([NAMED], versions=("0.1",))) as stage:
        reply = post(client_of(stage), "?version=9.9")
        assert (reply.status_code, reply.get_json()["code"]) == (404, "model_not_found")
        assert "0.1" in reply.get_json()["detail"]


def test_without_torchserve_it_is_not_ready() -> None:
    with standing_in(Stage()) as stage:
        url = stage.url
    reply = post(create_app(Settings(url, url)).test_client())
    assert (reply.status_code, reply.get_json()["code"]) == (503, "not_ready")
    assert reply.headers["Retry-After"] == "5"


@pytest.mark.parametrize(("data", "code"), [(b"", "empty_body"), (b'{"image": "iVBORw0KGgo="}', "unsupported_format")])
def test_what_is_no_scan_never_reaches_it(data: bytes, code: str) -> None:
    with standing_in(Stage([NAMED])) as stage:
        headers = HERE | {"Content-Type": "application/json"}
        reply = client_of(stage).post("/api/v1/classify", data=data, headers=headers)
        assert reply.get_json()["code"] == code
        assert stage.predicted() == 0
