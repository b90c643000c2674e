"""``POST /api/v1/segment?model=brainseg-regions``: the way to the model of several classes, and where there is none."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.web.standin import Scripted, Stage, client_of, standing_in
from web.contract import examples

HERE = {"Host": "localhost"}
FOUND: Scripted = (200, "application/json", examples.SEGMENTATION)


def post(door: FlaskClient, query: str, path: str = "segment") -> TestResponse:
    return door.post(f"/api/v1/{path}{query}", data=b"\x89PNG scan", headers=HERE)


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("?model=brainseg-regions&slices=3", "/predictions/brainseg-regions"),
        ("?model=brainseg-regions&version=0.1", "/predictions/brainseg-regions/0.1"),
        ("?model=brainseg", "/predictions/brainseg"),
        ("", "/predictions/brainseg"),
    ],
)
def test_the_model_that_is_named_is_asked(query: str, path: str) -> None:
    with standing_in(Stage([FOUND], versions=("0.1",))) as stage:
        reply = post(client_of(stage), query)
        assert reply.status_code == 200, reply.text
        assert [one for method, one, _ in stage.seen if method == "POST"] == [path]
        sent = {name.lower(): value for name, value in stage.headers.items()}
        assert "x-brainseg-model" not in sent  # the handler knows no such field
        assert sent.get("x-brainseg-slices") == ("3" if "slices" in query else None)


def test_where_it_is_not_deployed_the_answer_says_so_and_segmentation_goes_on() -> None:
    with standing_in(Stage(absent=("brainseg-regions",))) as stage:
        door = client_of(stage)
        reply = post(door, "?model=brainseg-regions")
        assert (reply.status_code, reply.get_json()["code"]) == (404, "model_not_found")
        assert "scripts/deploy" in reply.get_json()["detail"]
        assert post(door, "").status_code == 200


def test_it_is_listed_beside_the_segmentation() -> None:
    with standing_in(Stage(versions=("0.1", "0.2"))) as stage:
        (beside,) = client_of(stage).get("/api/v1/models", headers=HERE).get_json()["beside"]
    assert (beside["name"], beside["default"]) == ("brainseg-regions", "0.1")
    assert [(one["version"], one["default"]) for one in beside["versions"]] == [("0.1", True), ("0.2", False)]
    with standing_in(Stage(absent=("brainseg-regions",))) as stage:
        assert client_of(stage).get("/api/v1/models", headers=HERE).get_json()["beside"] == []


def test_its_answer_can_be_explained() -> None:
    with standing_in(Stage([(200, "application/json", examples.EXPLANATION)])) as stage:
        assert post(client_of(stage), "?model=brainseg-regions", "explain").status_code == 200
        assert [path for method, path, _ in stage.seen if method == "POST"] == ["/explanations/brainseg-regions"]
        assert post(client_of(stage), "?model=other", "explain").get_json()["code"] == "model_not_found"


@pytest.mark.parametrize("name", ["brainseg-types", "other", "../brainseg"])
def test_another_name_is_no_model_that_segments(name: str) -> None:
    with standing_in(Stage([FOUND])) as stage:
        reply = post(client_of(stage), f"?model={name}")
        assert (reply.status_code, reply.get_json()["code"]) == (404, "model_not_found")
        assert not [path for method, path, _ in stage.seen if method == "POST"]
