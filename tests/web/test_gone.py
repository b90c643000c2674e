"""Who has gone gives the place back, the worker is told; at the end everyone gets an answer."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import request

import web.api
from prove.slow import PATIENCE, ask_and_go, closed, code_of, head, read_answer, until
from tests.web.inside import opened
from tests.web.standin import Stage, standing_in
from web.settings import Bounds, Settings
from web.way.wanted import HEADER, Wanted

SCAN = b"\x89PNG\r\n\x1a\n"
STACK = b"PK\x03\x04"  # a volume, so long work
VERSIONS = ("1.0", "2.0")


@pytest.fixture
def stage() -> Iterator[Stage]:
    with standing_in(Stage(versions=VERSIONS)) as stage:
        yield stage
        stage.goes_on.set()


def settings(stage: Stage, wanted: Path | None = None, **bounds: float) -> Settings:
    return Settings(stage.url, stage.url, wanted=wanted, bounds=replace(Bounds(), **bounds))  # type: ignore[arg-type]


def test_who_has_gone_gives_place_and_file_back(stage: Stage, tmp_path: Path) -> None:
    stage.hold()
    with opened(settings(stage, tmp_path)) as inside:
        client = ask_and_go(inside.port, head(size=len(SCAN)) + SCAN)
        until(lambda: inside.door.gate.running == 1, "the request runs")
        [name] = [path.name for path in tmp_path.iterdir()]
        until(lambda: stage.headers.get(HEADER) == name, "the worker is told the name")
        client.close()
        until(lambda: inside.door.gate.running == 0, "the place is free, though TorchServe has not answered")
        until(lambda: not any(tmp_path.iterdir()), "the worker sees that nobody waits")
        until(
            lambda: inside.metric('brainseg_front_requests_total{code="gone",route="api.segment"}') == 1,
            "it is counted",
        )


def test_stacks_of_one_version_do_not_hold_up_another(stage: Stage) -> None:
    stage.hold("1.0", "brainseg")
    with opened(settings(stage)) as inside, ExitStack() as given_up:
        for _ in range(4):
            request = head(path="/api/v1/segment?version=1.0", size=len(STACK)) + STACK
            given_up.enter_context(ask_and_go(inside.port, request))
        until(lambda: inside.door.gate.running + inside.door.gate.waiting == 4, "all four are in")
        reply = requests.post(f"{inside.url}/api/v1/segment?version=2.0", data=SCAN, timeout=PATIENCE)
        assert reply.status_code == 200
        stage.goes_on.set()


def test_a_version_that_is_not_there_takes_no_place(stage: Stage) -> None:
    with opened(settings(stage)) as inside:
        reply = requests.post(f"{inside.url}/api/v1/segment?version=7.0", data=SCAN, timeout=PATIENCE)
        assert (reply.status_code, reply.json()["code"]) == (404, "model_not_found")
        assert stage.predicted() == 0


def test_the_end_waits_no_longer_than_it_says_and_logs_what_it_cuts(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.hold()
    caplog.set_level(logging.INFO)
    with opened(settings(stage, drain_seconds=0.3)) as inside:
        running = ask_and_go(inside.port, head("X-Request-Id: running", size=len(SCAN)) + SCAN)
        sending = ask_and_go(inside.port, head("X-Request-Id: sending", size=1000) + SCAN)
        idle = socket.create_connection(("127.0.0.1", inside.port), timeout=PATIENCE)
        until(lambda: inside.door.gate.running == 1, "one runs")
        until(lambda: inside.door.edge.admission.held_bytes > len(SCAN), "one is being sent")
        inside.stop.set()
        for connection in (running, sending):
            status, headers, body = read_answer(connection)
            assert (status, code_of(body)) == (503, "not_ready")
            assert headers["connection"] == "close"
        assert closed(idle)
        inside.thread.join(PATIENCE)
        assert not inside.thread.is_alive()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", inside.port), timeout=PATIENCE)
    lines = [record.getMessage() for record in caplog.records]
    assert [line for line in lines if line.startswith("cut off at the end: id=running")]
    assert [line for line in lines if "id=sending status=503 code=not_ready" in line]


def test_an_answer_within_the_drain_is_given(stage: Stage) -> None:
    stage.hold()
    with opened(settings(stage)) as inside:
        running = ask_and_go(inside.port, head(size=len(SCAN)) + SCAN)
        until(lambda: inside.door.gate.running == 1, "it runs")
        inside.stop.set()
        until(lambda: inside.door.edge.ending, "the end has begun")
        stage.goes_on.set()
        assert read_answer(running)[0] == 200


def test_work_that_stands_still_is_seen(tmp_path: Path) -> None:
    wanted = Wanted(tmp_path)
    assert wanted.stands_still("1.0") == 0
    with wanted.kept("1.0") as first, wanted.kept("1.0") as second:
        for name in (first[HEADER], second[HEADER]):
            os.utime(tmp_path / name, (0, 0))
        assert wanted.stands_still("1.0") > 1000
        assert wanted.stands_still("2.0") == 0
        (tmp_path / second[HEADER]).touch()  # as the worker does between slices
        assert wanted.stands_still("1.0") < 1000
    assert not any(tmp_path.iterdir())
    with Wanted(None).kept("1.0") as told:
        assert told == {}


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_lies_in_memory_once(chunked: bool, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a second time beside what the server itself keeps until it has answered."""
    scan, seen = SCAN + bytes(2**20), []
    read = web.api.read_submission

    def watched(body: bytes, *others: Any) -> Any:
        seen.append(body is request.environ["wsgi.input"].getvalue() and len(body) == len(scan))
        return read(body, *others)

    monkeypatch.setattr(web.api, "read_submission", watched)
    with opened(settings(stage)) as inside:
        sent = iter([scan]) if chunked else scan
        assert requests.post(f"{inside.url}/api/v1/segment", data=sent, timeout=PATIENCE).status_code == 200
    assert seen == [True]
