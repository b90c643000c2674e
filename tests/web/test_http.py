"""What HTTP has beside the contract: conditional requests, packed answers, OPTIONS, and which request a problem was."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.web.standin import Stage, standing_in
from web.app import create_app
from web.packing import LEAST
from web.settings import Settings

MODELS, DOCUMENT, SEGMENT = "/api/v1/models", "/api/v1/openapi.json", "/api/v1/segment"
SCAN = b"\x89PNG\r\n\x1a\n"
GZIP = {"Accept-Encoding": "br;q=1, gzip;q=0.5"}


@pytest.fixture
def stage() -> Iterator[Stage]:
    with standing_in(Stage()) as stage:
        yield stage


@pytest.fixture
def client(stage: Stage) -> FlaskClient:
    return create_app(Settings(stage.url, stage.url, origins=("https://viewer.example",))).test_client()


def test_the_models_are_sent_again_only_when_they_changed(stage: Stage, client: FlaskClient) -> None:
    first = client.get(MODELS)
    assert first.headers["Cache-Control"] == "private, no-cache"
    known = {"If-None-Match": first.headers["ETag"]}
    again = client.get(MODELS, headers=known)
    assert (again.status_code, again.data) == (304, b"")
    for name in ("ETag", "Vary", "Cache-Control"):
        assert again.headers[name] == first.headers[name], name
    assert client.get(MODELS, headers=known | GZIP).status_code == 304
    changed = create_app(Settings(stage.url, stage.url, model="other")).test_client().get(MODELS, headers=known)
    assert changed.status_code == 200
    assert changed.headers["ETag"] != first.headers["ETag"]


def test_the_key_comes_before_the_etag(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("ward ward-0123456789abcdefghij\n")
    closed = create_app(Settings(stage.url, stage.url, api_keys=tmp_path / "keys")).test_client()
    assert closed.get(MODELS, headers={"If-None-Match": "*"}).status_code == 401


def test_long_json_is_packed_for_who_asks(client: FlaskClient) -> None:
    plain = client.get(DOCUMENT)
    assert "Content-Encoding" not in plain.headers
    packed = client.get(DOCUMENT, headers=GZIP)
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == plain.data
    assert int(packed.headers["Content-Length"]) == len(packed.data) < len(plain.data) / 2
    assert "Accept-Encoding" in plain.headers["Vary"]
    assert "Accept-Encoding" in packed.headers["Vary"]
    assert "Origin" in packed.headers["Vary"]  # the page of another origin has an answer of its own


@pytest.mark.parametrize("accepted", ["", "identity", "br", "gzip;q=0", "*;q=0"])
def test_json_is_not_packed_for_who_does_not(client: FlaskClient, accepted: str) -> None:
    assert "Content-Encoding" not in client.get(DOCUMENT, headers={"Accept-Encoding": accepted}).headers


def test_short_json_and_pictures_are_not_packed(stage: Stage, client: FlaskClient) -> None:
    reply = client.get("/livez", headers=GZIP)
    assert len(reply.data) < LEAST
    assert "Content-Encoding" not in reply.headers
    stage.predictions = [(200, "image/png", "x" * 2 * LEAST)]
    reply = client.post(SEGMENT, data=SCAN, headers={"Accept": "image/png", **GZIP})
    assert reply.mimetype == "image/png"
    assert "Content-Encoding" not in reply.headers


@pytest.mark.parametrize(
    ("path", "allowed"),
    [(SEGMENT, {"POST", "OPTIONS"}), (MODELS, {"GET", "HEAD", "OPTIONS"}), ("/livez", {"GET", "HEAD", "OPTIONS"})],
)
def test_options_say_what_is_allowed(client: FlaskClient, path: str, allowed: set[str]) -> None:
    asked: dict[str, str]
    for asked in ({}, {"Origin": "https://viewer.example", "Access-Control-Request-Method": "POST"}):
        reply = client.options(path, headers=asked)
        assert (reply.status_code, reply.data) == (204, b"")
        assert set(reply.headers["Allow"].split(", ")) == allowed
        assert ("Access-Control-Allow-Methods" in reply.headers) == (bool(asked) and path.startswith("/api/"))
    assert client.options("/nothing").status_code == 404


def test_a_problem_says_which_request_it_was(stage: Stage, client: FlaskClient) -> None:
    mine = {"X-Request-Id": "ward-7.scan-1"}
    theirs = {
        "type": "urn:brainseg:problem:corrupt_image",
        "title": "x",
        "status": 422,
        "detail": "y",
        "code": "corrupt_image",
    }
    stage.predictions = [(422, "application/problem+json", theirs)]
    for reply in (
        client.get("/nothing", headers=mine),
        client.post(SEGMENT, data=SCAN, query_string={"colour": "red"}, headers=mine),
        client.post(SEGMENT, data=SCAN, headers=mine),
    ):
        assert json.loads(reply.data)["instance"] == "urn:brainseg:request:ward-7.scan-1"
    new = client.get("/nothing")
    assert json.loads(new.data)["instance"] == f"urn:brainseg:request:{new.headers['X-Request-Id']}"
