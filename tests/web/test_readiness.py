"""Ready is the live version's; what others lack is degraded. Busy is not unready, standing still is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from prove.slow import ask_and_go, head, until
from tests.web.inside import Inside, opened
from tests.web.standin import Stage, standing_in
from web.app import create_app
from web.health import readiness
from web.settings import Settings

SCAN = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(readiness, "LOAD_SECONDS", 0.0)
    with standing_in(Stage(versions=("1.0", "2.0"))) as stage:
        yield stage
        stage.goes_on.set()


@pytest.fixture
def client(stage: Stage) -> FlaskClient:
    return create_app(Settings(stage.url, stage.url)).test_client()


def status(client: FlaskClient) -> dict[str, object]:
    found = client.get("/api/v1/status").get_json()
    assert isinstance(found, dict)
    return found


def degraded(client: FlaskClient, version: str) -> str:
    text = client.get("/metrics", headers={"Host": "localhost"}).text
    name = f'brainseg_front_version_degraded{{model_version="{version}"}} '
    return next(line.removeprefix(name) for line in text.splitlines() if line.startswith(name))


def test_another_version_is_degraded_and_the_live_one_ready(stage: Stage, client: FlaskClient) -> None:
    until(lambda: status(client)["status"] == "ready", "the live version has answered its probe")
    until(lambda: bool(status(client)["degraded"]), "the probe of 2.0, which 1.0 answers here, was not right")
    assert client.get("/readyz").status_code == 200
    [reason] = client.get("/readyz").get_json()["degraded"]
    assert reason.startswith("version 2.0:")
    assert (degraded(client, "1.0"), degraded(client, "2.0")) == ("0.0", "1.0")


def test_under_load_the_rest_is_probed_too(stage: Stage) -> None:
    """Readiness was down for as long as there was load when the worker of an unused version had restarted."""
    stage.hold("2.0")
    with opened(Settings(stage.url, stage.url)) as inside, ExitStack() as load:
        client = inside.app.test_client()
        for _ in range(2):
            request = head(path="/api/v1/segment?version=2.0", size=len(SCAN)) + SCAN
            load.enter_context(ask_and_go(inside.port, request))
        until(lambda: inside.door.gate.running == 2, "2.0 is under load")
        until(lambda: status(client)["status"] == "ready", "1.0 was probed all the same")
        stage.goes_on.set()


def test_a_blank_scan_that_the_models_gate_refuses_is_an_answer(stage: Stage) -> None:
    """A front door without sample scans was never ready before a model with a gate."""
    refused = {"tumor_pixels": None, "verdict": "not_assessed", "model": {"version": "1.0"}}
    stage.predictions = [(200, "application/json", refused)]
    client = create_app(Settings(stage.url, stage.url)).test_client()
    until(lambda: client.get("/readyz").status_code == 200, "the probe was answered")
    assert stage.predicted() > 0


def still(inside: Inside, folder: Path) -> bool:
    for path in folder.iterdir():
        os.utime(path, (0, 0))
    return "not come further" in str(status(inside.app.test_client())["reasons"])


def test_running_and_not_moving_is_not_ready(stage: Stage, tmp_path: Path) -> None:
    with opened(Settings(stage.url, stage.url, wanted=tmp_path)) as inside, ExitStack() as asked:
        client = inside.app.test_client()
        until(lambda: status(client)["status"] == "ready", "the probe was answered")
        stage.hold()
        asked.enter_context(ask_and_go(inside.port, head(size=len(SCAN)) + SCAN))
        until(lambda: inside.door.gate.running == 1, "a request runs")
        assert status(client)["status"] == "ready"  # busy, and it may be going well
        until(lambda: still(inside, tmp_path), "work that does not move is seen")
        assert client.get("/readyz").status_code == 503
        stage.goes_on.set()
        until(lambda: status(client)["status"] == "ready", "it goes on")
