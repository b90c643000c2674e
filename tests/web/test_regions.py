"""``POST /api/v1/segment?model=brainseg-regions``: the way to the model of several classes, and where there is none."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.web.standin import Scripted, Stage, standing_in
from web.app import create_app
from web.contract import examples
from web.settings import Settings

HERE = {"Host": "localhost"}
FOUND: Scripted = (200, "application/json", examples.SEGMENTATION)


class Bare(Stage):
    """A TorchServe without it."""

    def answer(self, method: str, path: str, authorization: str) -> Scripted:
        if "/brainseg-regions" in path:
            return 404, "application/json", {"code": 404, "type": "ModelNotFoundException", "message": "…"}
        return super().answer(method, path, authorization)


def client_of(stage: Stage) -> FlaskClient:
    return create_app(Settings(stage.url, stage.url)).test_client()


def post(door: FlaskClient, query: str) -> TestResponse:
    return door.post(f"/api/v1/segment{query}", data=b"\x89PNG scan", headers=HERE)


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
    with standing_in(Bare()) as stage:
        door = client_of(stage)
        reply = post(door, "?model=brainseg-regions")
        assert (reply.status_code, reply.get_json()["code"]) == (404, "model_not_found")
        assert "scripts/deploy" in reply.get_json()["detail"]
        assert post(door, "").status_code == 200


@pytest.mark.parametrize("name", ["brainseg-types", "other", "../brainseg"])
def test_another_name_is_no_model_that_segments(name: str) -> None:
    with standing_in(Stage([FOUND])) as stage:
        reply = post(client_of(stage), f"?model={name}")
        assert (reply.status_code, reply.get_json()["code"]) == (404, "model_not_found")
        assert not [path for method, path, _ in stage.seen if method == "POST"]
