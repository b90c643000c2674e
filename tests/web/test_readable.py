"""Links to the API, the models and the status open pages in a browser and stay JSON for programs."""

from __future__ import annotations

import json
import re

import pytest
from flask import Flask

from archive.store import MODEL_STORE
from web.app import create_app
from web.contract.openapi import document
from web.readable import PAGES, models_page
from web.settings import Settings

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
NOTICE = "Research use only. Not a medical device."


@pytest.fixture(scope="module")
def app() -> Flask:
    return create_app(Settings("http://127.0.0.1:9", "http://127.0.0.1:9"))


def words(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def beside() -> dict[str, object]:
    """The model of several classes, whose figures are of another kind."""
    card = json.loads((MODEL_STORE / "brainseg-regions-0.1" / "model-card.json").read_text())
    card["metrics"]["test"] = card["metrics"]["left out"]
    version = {"version": "0.1", "default": True, "workers": {"wanted": 1, "ready": 1}, "card": card}
    return {"name": "brainseg-regions", "default": "0.1", "versions": [version]}


def models_html(app: Flask) -> str:
    """The page about the released versions."""
    cards = {
        version: json.loads((MODEL_STORE / f"brainseg-{version}" / "model-card.json").read_text())
        for version in ("1.0", "2.0")
    }
    versions = [
        {
            "version": version,
            "default": version == "2.0",
            "role": "live" if version == "2.0" else "served",
            "since": None,
            "workers": {"wanted": 1, "ready": 1},
            "card": card,
        }
        for version, card in cards.items()
    ]
    versions.append(versions[0] | {"version": "<b>odd</b>", "card": None})
    with app.test_request_context("/api/v1/models"):
        answer = {"name": "brainseg", "default": "2.0", "versions": versions, "beside": [beside()]}
        return models_page(answer).get_data(as_text=True)


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize(
    ("accept", "readable"),
    [(BROWSER, True), ("*/*", False), ("application/json", False), (None, False), ("text/html;q=0.1,*/*", False)],
)
def test_a_browser_gets_a_page_and_a_program_json(app: Flask, path: str, accept: str | None, readable: bool) -> None:
    reply = app.test_client().get(path, headers={"Accept": accept} if accept else {})
    assert (reply.mimetype == "text/html") is readable
    assert "Accept" in reply.headers["Vary"]
    assert reply.headers["Cache-Control"] == "no-store"
    assert reply.status_code == {"/api/v1/models": 503, "/readyz": 503}.get(path, 200)
    if readable:
        assert NOTICE in words(reply.text)
        assert "<script>" not in reply.text
        assert " style=" not in reply.text
    else:
        assert reply.json


def test_what_is_not_ready_is_said_in_words(app: Flask) -> None:
    client = app.test_client()
    reasons = client.get("/api/v1/status").json["reasons"]
    assert reasons
    assert reasons[0] in words(client.get("/api/v1/status", headers={"Accept": BROWSER}).text)
    models = client.get("/api/v1/models", headers={"Accept": BROWSER})
    assert "No worker is ready" in words(models.text)
    assert int(models.headers["Retry-After"]) > 0


def test_the_api_page_names_every_path_and_setting(app: Flask) -> None:
    text = words(app.test_client().get("/api/v1/openapi.json", headers={"Accept": BROWSER}).text)
    for path, methods in document()["paths"].items():
        assert all(f"{method.upper()} {path}" in text for method in methods)
    for parameter in document()["paths"]["/api/v1/segment"]["post"]["parameters"]:
        assert parameter["name"] in text


def test_the_models_page_has_the_figures_and_limits_of_the_cards(app: Flask) -> None:
    html = models_html(app)
    text = words(html)
    card = json.loads((MODEL_STORE / "brainseg-2.0" / "model-card.json").read_text())
    assert text.index("brainseg 2.0 (default)") < text.index("brainseg 1.0")
    for limit in card["limits"]:
        assert limit in text
    figure = card["metrics"]["test"]["figures"][0]
    assert f"{figure['name']} {figure['value']:.3f} {figure['low']:.3f} to {figure['high']:.3f}" in text
    assert "<b>odd</b>" not in html
    assert "Its card cannot be had just now." in text
    assert "brainseg-regions 0.1 (default)" in text
    assert "necrosis and non-enhancing core, oedema, enhancing tumour" in text
