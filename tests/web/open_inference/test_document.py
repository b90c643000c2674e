"""The protocol's document: all paths, its schemas true to what is answered and to what is taken."""

from __future__ import annotations

import base64
import json
from typing import Any

import jsonschema
import pytest

from tests.web.open_inference.test_found import found
from web.app import create_app
from web.contract.fields import HTTP_PROBLEMS, PROBLEMS
from web.open_inference.asked import Asked, Wish, read_asked
from web.open_inference.document import REFUSED, document
from web.open_inference.reply import write_reply
from web.open_inference.tensors import NAMES, model_metadata, server_metadata
from web.settings import Settings

DOCUMENT = document("brainseg")


def validate(name: str, value: object) -> None:
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator(schema).validate(value)


def test_every_path_is_there_with_its_methods() -> None:
    served = {
        (rule.rule.replace("<", "{").replace(">", "}"), method.lower())
        for rule in create_app(Settings()).url_map.iter_rules()
        if rule.rule.startswith("/v2") and rule.rule != "/v2/openapi.json"
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert served == {(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods}
    names = [one["operationId"] for methods in DOCUMENT["paths"].values() for one in methods.values()]
    assert len(set(names)) == len(names)
    for methods in DOCUMENT["paths"].values():
        for one in methods.values():
            assert {"summary", "parameters", "responses"} <= set(one)


def test_it_is_served() -> None:
    reply = create_app(Settings()).test_client().get("/v2/openapi.json")
    assert reply.get_json() == json.loads(json.dumps(DOCUMENT))


def test_every_status_of_a_refusal_is_told() -> None:
    missing = {status for status, _ in (PROBLEMS | HTTP_PROBLEMS).values()} - set(REFUSED)
    assert missing == {405, 406, 408, 409, 501}  # of other paths, of Accept, and of a body that never came


def test_answers_are_as_documented() -> None:
    validate("Server", server_metadata("brainseg"))
    validate("Model", model_metadata("brainseg", ["1.0"]))
    validate("Health", {"live": True, "ready": False})
    for binary in (True, False):
        reply = write_reply(Asked(b"", {}, tuple(Wish(name, binary) for name in NAMES), "7"), found(), "brainseg")
        length = int(reply.headers.get("Inference-Header-Content-Length", len(reply.data)))
        validate("Answered", json.loads(reply.data[:length]))
    with pytest.raises(jsonschema.ValidationError):
        validate("Answered", {"model_name": "brainseg"})


def test_what_is_taken_is_as_documented() -> None:
    scan: dict[str, Any] = {
        "name": "scan",
        "datatype": "BYTES",
        "shape": [1],
        "data": [base64.b64encode(b"x").decode()],
    }
    asked = {"id": "7", "model_name": "brainseg", "inputs": [scan], "outputs": [{"name": "mask"}]}
    asked["parameters"] = {"threshold": 0.4, "gate": "off", "binary_data_output": True}
    validate("Asked", asked)
    assert read_asked(json.dumps(asked).encode(), None, lambda _: None).scan == b"x"
    for wrong in ({"colour": 1}, {"parameters": {"colour": 1}}, {"inputs": []}, {"outputs": [{"name": "overlay"}]}):
        with pytest.raises(jsonschema.ValidationError):
            validate("Asked", asked | wrong)
