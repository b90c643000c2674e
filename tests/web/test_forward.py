"""What TorchServe's frontend says by itself comes out as the contract's; a killer of workers gets no third try."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.waiting import until
from tests.web.standin import DIED, NO_WORKER, OK, Scripted, Stage, standing_in
from web.app import create_app
from web.health import watch
from web.settings import Settings
from web.way.suspects import Suspects

SCAN = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(watch, "PATIENCE_SECONDS", 1.0)
    monkeypatch.setattr(watch.Watch.await_ready, "__defaults__", (1.0,))
    with standing_in(Stage()) as stage:
        yield stage


def client_of(stage: Stage, key_file: Path | None = None) -> FlaskClient:
    return create_app(Settings(stage.url, stage.url, key_file=key_file)).test_client()


@pytest.fixture
def client(stage: Stage) -> FlaskClient:
    return client_of(stage)


def segment(client: FlaskClient, scan: bytes = SCAN) -> tuple[int, str]:
    reply = client.post("/api/v1/segment", data=scan, headers={"Content-Type": "image/png", "Host": "localhost"})
    return reply.status_code, reply.get_json().get("code", "ok")


def test_one_retry_for_a_worker_that_died(stage: Stage, client: FlaskClient) -> None:
    stage.predictions = [DIED, OK]
    assert segment(client) == (200, "ok")
    assert stage.predicted() == 2
    assert "brainseg_front_retries_total 1.0" in client.get("/metrics", headers={"Host": "localhost"}).text


def test_an_input_that_kills_is_never_tried_a_second_time_again(stage: Stage, client: FlaskClient) -> None:
    stage.predictions = [DIED]
    assert segment(client) == (502, "worker_lost")
    assert stage.predicted() == 2
    assert segment(client) == (502, "worker_lost")  # one try, no retry
    assert stage.predicted() == 3
    assert segment(client) == (502, "worker_lost")  # refused unheard
    assert stage.predicted() == 3
    stage.predictions = [OK]
    assert segment(client, SCAN + b"other") == (200, "ok")


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        ((404, "application/json", {"code": 404, "type": "ModelNotFoundException"}), 404, "model_not_found"),
        ((413, "text/plain", ""), 413, "too_large"),
        ((507, "application/json", {"code": 507, "message": "Out of memory"}), 503, "queue_full"),
        ((500, "application/json", {"code": 500, "type": "InternalServerException"}), 500, "internal_error"),
        ((200, "text/html", "not ours"), 500, "internal_error"),
    ],
)
def test_torchserves_own_words(stage: Stage, client: FlaskClient, answer: Scripted, status: int, code: str) -> None:
    stage.predictions = [answer]
    assert segment(client) == (status, code)
    assert stage.predicted() == 1


def test_no_worker_to_serve_means_full_or_not_ready(stage: Stage, client: FlaskClient) -> None:
    stage.predictions = [NO_WORKER]
    assert segment(client) == (503, "queue_full")
    stage.statuses = ["LOADING"]
    time.sleep(1.1)
    reply = client.post("/api/v1/segment", data=SCAN, headers={"Host": "localhost"})
    assert (reply.status_code, reply.get_json()["code"]) == (503, "not_ready")
    assert int(reply.headers["Retry-After"]) > 0


def test_torchserve_that_is_not_there(client: FlaskClient) -> None:
    gone = create_app(Settings("http://127.0.0.1:9", "http://127.0.0.1:9")).test_client()
    assert segment(gone) == (503, "not_ready")
    ready = gone.get("/readyz")
    assert ready.status_code == 503
    assert "cannot be asked" in ready.get_json()["reasons"][0]


def until_ready(client: FlaskClient) -> None:
    until(lambda: client.get("/readyz").status_code == 200, "it was not ready")


def test_readiness_needs_a_prediction_since_the_workers_start(stage: Stage, client: FlaskClient) -> None:
    assert client.get("/readyz").status_code == 503  # nothing is proven yet; a probe begins
    until_ready(client)
    probes = stage.predicted()
    assert probes == 1
    for _ in range(5):
        assert client.get("/readyz").status_code == 200
    assert stage.predicted() == probes  # proven once: asking again costs no prediction
    stage.pid = 2  # another process
    time.sleep(1.1)
    assert client.get("/readyz").status_code == 503
    until_ready(client)
    assert stage.predicted() == probes + 1


def test_readiness_is_lost_with_a_worker_and_with_wrong_answers(stage: Stage, client: FlaskClient) -> None:
    assert segment(client) == (200, "ok")
    assert client.get("/readyz").status_code == 200  # a real prediction is proof enough
    stage.statuses = ["UNLOADING"]
    time.sleep(1.1)
    assert "0 of 1 workers" in client.get("/readyz").get_json()["reasons"][0]
    stage.statuses, stage.pid = ["READY"], 3
    stage.predictions = [(200, "application/json", {"tumor_pixels": 1, "model": {"version": "0.9"}})]
    time.sleep(1.1)
    until(lambda: "probe failed" in str(client.get("/readyz").get_json().get("reasons")), "no probe failed")
    assert client.get("/readyz").status_code == 503


def write_keys(path: Path, inference: str, minutes: float = 60) -> None:
    expires = (datetime.now(UTC) + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%S.123456789Z")
    entry = {"key": inference, "expiration time": expires}
    path.write_text(json.dumps({"inference": entry, "management": entry, "API": {"key": "master"}}))


def test_a_new_token_in_the_file_is_found_and_an_old_one_renewed(stage: Stage, tmp_path: Path) -> None:
    key_file = tmp_path / "key_file.json"
    write_keys(key_file, "one")
    stage.token = "one"
    client = client_of(stage, key_file)
    assert segment(client) == (200, "ok")
    stage.token = "two"
    write_keys(key_file, "two")
    moment = time.time() - 5
    os.utime(key_file, (moment, moment))
    assert segment(client) == (200, "ok")
    write_keys(key_file, "two", minutes=1)  # about to run out
    assert segment(client) == (200, "ok")
    assert ("GET", "/token?type=inference", "Bearer master") in stage.seen


def test_a_token_that_stays_refused_is_not_ready_and_is_not_shown(stage: Stage, tmp_path: Path) -> None:
    key_file = tmp_path / "key_file.json"
    write_keys(key_file, "wrong-and-secret")
    stage.token = "right"
    client = client_of(stage, key_file)
    reply = client.post("/api/v1/segment", data=SCAN, headers={"Host": "localhost"})
    assert (reply.status_code, reply.get_json()["code"]) == (503, "not_ready")
    assert "secret" not in reply.text
    assert len(stage.seen) < 10


def test_whoever_is_under_suspicion_is_tried_alone(
    stage: Stage, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second try of what died once, and the first of what has died before: a killer may be beside it."""
    tries: list[tuple[int, int]] = []
    alone = Suspects.alone

    @contextmanager
    def noted(self: Suspects, check: Callable[[], None]) -> Iterator[None]:
        with alone(self, check):
            before = stage.predicted()
            yield
            tries.append((before, stage.predicted()))

    monkeypatch.setattr(Suspects, "alone", noted)
    assert segment(client, SCAN + b"other") == (200, "ok")
    assert tries == []
    stage.predictions = [DIED, OK]
    assert segment(client) == (200, "ok")
    assert tries == [(2, 3)]
    assert segment(client) == (200, "ok")
    assert tries == [(2, 3), (3, 4)]
