"""Connections that take places and give nothing: none of them keeps others from being served."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest
import requests

from prove.slow import PATIENCE, closed, code_of, dripping, head, read_answer, unread, until
from tests.web.inside import Inside, opened
from tests.web.standin import Scripted, Stage, standing_in
from web.contract.fields import MIB
from web.edge.crowd import neighbourhood
from web.edge.pace import Pace
from web.settings import Bounds, Settings

SCAN = b"\x89PNG\r\n\x1a\n"
HALF_A_HEAD = b"POST /api/v1/segment HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
LARGE: Scripted = (200, "application/json", {"picture": "x" * 8 * MIB})


@pytest.fixture
def stage() -> Iterator[Stage]:
    with standing_in(Stage()) as stage:
        yield stage
        stage.goes_on.set()


@contextlib.contextmanager
def door(stage: Stage, **bounds: float) -> Iterator[Inside]:
    settings = Settings(stage.url, stage.url, bounds=replace(Bounds(), **bounds))  # type: ignore[arg-type]
    with opened(settings) as inside:
        yield inside


def connect(inside: Inside) -> socket.socket:
    return socket.create_connection(("127.0.0.1", inside.port), timeout=PATIENCE)


def served(inside: Inside) -> bool:
    return requests.post(f"{inside.url}/api/v1/segment", data=SCAN, timeout=PATIENCE).status_code == 200


def test_headers_that_drip_end_with_an_answer(stage: Stage) -> None:
    with door(stage, header_seconds=0.3) as inside, dripping(inside.port, HALF_A_HEAD) as [slow]:
        status, _, body = read_answer(slow.connection)
        assert (status, code_of(body)) == (408, "request_timeout")
        assert closed(slow.connection)


def test_slow_headers_on_every_place_stop_nobody(stage: Stage) -> None:
    """The one that was idle longest goes; with waitress alone the next client waits for as long as they like."""
    with (
        door(stage, connections=10, connections_per_address=10, header_seconds=600) as inside,
        dripping(inside.port, HALF_A_HEAD, 30),
    ):
        assert requests.get(f"{inside.url}/livez", timeout=PATIENCE).ok
        assert served(inside)
        assert inside.metric('brainseg_front_closed_total{why="crowded"}') >= 20


def test_probes_are_answered_when_every_place_works(stage: Stage) -> None:
    stage.hold()
    with door(stage, connections=3, connections_per_address=3) as inside, contextlib.ExitStack() as open_ones:
        for _ in range(3):
            connection = open_ones.enter_context(connect(inside))
            connection.sendall(head(size=len(SCAN)) + SCAN)
        until(lambda: inside.door.gate.running == 3, "three requests run")
        for path in ("/livez", "/readyz", "/metrics"):
            assert requests.get(inside.url + path, timeout=PATIENCE).status_code in (200, 503)
        refused = requests.get(f"{inside.url}/api/v1/models", timeout=PATIENCE)
        assert (refused.status_code, refused.json()["code"]) == (503, "queue_full")
        assert refused.headers["Retry-After"]
        stage.goes_on.set()


def test_probes_do_not_wait_for_threads(stage: Stage) -> None:
    """All threads but the probes' are kept busy by requests that wait."""
    stage.hold()
    with door(stage, running=1, waiting=1, versions=1) as inside, contextlib.ExitStack() as open_ones:
        inside.door.access.client = lambda *_: stage.goes_on.wait(PATIENCE) and "x"  # type: ignore[method-assign,return-value]
        for _ in range(30):
            connection = open_ones.enter_context(connect(inside))
            connection.sendall(head(method="GET", path="/api/v1/models"))
        assert requests.get(f"{inside.url}/livez", timeout=PATIENCE).ok
        stage.goes_on.set()


def test_an_idle_connection_is_closed_and_one_in_work_is_not(stage: Stage) -> None:
    with door(stage, idle_seconds=0.3, header_seconds=0.3) as inside:
        with connect(inside) as idle:
            assert closed(idle)
        with connect(inside) as kept:
            stage.hold()
            kept.sendall(head(size=len(SCAN)) + SCAN)
            until(lambda: inside.door.gate.running == 1, "the request runs")
            with connect(inside) as idle:
                assert closed(idle)  # so more than the bound has passed
            stage.goes_on.set()
            assert read_answer(kept)[0] == 200
            assert closed(kept)


def test_what_is_only_declared_takes_nothing_away(stage: Stage) -> None:
    """Eight uploads of 64 MB that send next to nothing: 512 MiB were reserved for them, and everyone got 503."""
    with door(stage) as inside, dripping(inside.port, head(size=64 * 10**6), 8):
        until(lambda: inside.door.edge.admission.held_bytes >= 8, "all of them have begun")
        assert inside.door.edge.admission.held_bytes < 10_000
        assert served(inside)


def test_an_upload_that_drips_is_answered_and_logged(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    first = head("X-Request-Id: slow-1", size=10**6)
    with (
        door(stage, rate_bytes=1000, rate_seconds=0.5) as inside,
        dripping(inside.port, first) as [slow],
    ):
        status, headers, body = read_answer(slow.connection)
        assert (status, code_of(body), headers["x-request-id"]) == (408, "request_timeout", "slow-1")
        until(lambda: inside.door.edge.admission.held_bytes == 0, "its bytes are given back")
        [line] = [one.getMessage() for one in caplog.records if "slow-1" in one.getMessage()]
        assert line.startswith("door id=slow-1 status=408 code=request_timeout")


def test_an_upload_that_stops_is_answered(stage: Stage) -> None:
    """Nothing comes any more, so that nothing wakes a check made on arrival."""
    with door(stage, rate_seconds=0.5) as inside, connect(inside) as connection:
        connection.sendall(head(size=10**6) + SCAN)
        assert read_answer(connection)[0] == 408


def test_an_upload_has_a_time_in_all(stage: Stage) -> None:
    with (
        door(stage, upload_seconds=0.5, rate_bytes=0) as inside,
        dripping(inside.port, head(size=10**6)) as [slow],
    ):
        assert read_answer(slow.connection)[0] == 408


def test_bytes_that_came_count_and_the_one_too_many_is_refused(stage: Stage) -> None:
    with door(stage, buffered_bytes=1000) as inside, connect(inside) as first, connect(inside) as second:
        first.sendall(head(size=900) + bytes(600))
        until(lambda: inside.door.edge.admission.held_bytes == 600, "the first has come so far")
        second.sendall(head(size=500) + bytes(500))
        status, headers, body = read_answer(second)
        assert (status, code_of(body)) == (503, "queue_full")
        assert headers["retry-after"]
        first.sendall(bytes(300))
        assert read_answer(first)[0] == 200


def test_one_clients_share_holds_for_what_came(stage: Stage) -> None:
    with door(stage, buffered_bytes=1000, client_share=0.5) as inside, connect(inside) as first:
        first.sendall(head(size=450) + bytes(400))
        until(lambda: inside.door.edge.admission.held_bytes == 400, "the first has come so far")
        with connect(inside) as second:
            second.sendall(head(size=200) + bytes(200))
            status, _, body = read_answer(second)
            assert (status, code_of(body)) == (429, "rate_limited")


def test_the_quota_is_spent_before_the_body(stage: Stage) -> None:
    with door(stage, rate_per_minute=1) as inside, connect(inside) as first, connect(inside) as second:
        first.sendall(head("Expect: 100-continue", size=1000))
        assert first.recv(100).startswith(b"HTTP/1.1 100 ")
        second.sendall(head("Expect: 100-continue", size=1000))
        assert code_of(read_answer(second)[2]) == "rate_limited"


def test_who_does_not_read_is_cut_off(stage: Stage) -> None:
    stage.predictions = [LARGE]
    with door(stage, rate_seconds=0.5) as inside, unread(inside.port, head(size=len(SCAN)) + SCAN) as connection:
        until(lambda: inside.metric("brainseg_front_unread_bytes") > 0, "the answer waits, and the gauge says so")
        until(lambda: inside.metric('brainseg_front_closed_total{why="unread"}') == 1, "the reader is cut off")
        until(lambda: inside.metric("brainseg_front_unread_bytes") == 0, "its answer is forgotten")
        assert closed(connection)


def test_unread_answers_have_a_bound_together(stage: Stage) -> None:
    """Slow by no rule yet, but more than may wait: those who had theirs first go."""
    stage.predictions = [LARGE]
    request = head(size=len(SCAN)) + SCAN
    with door(stage, unread_bytes=20 * MIB, rate_bytes=0) as inside, contextlib.ExitStack() as readers:
        for count in range(1, 5):
            readers.enter_context(unread(inside.port, request))
            until(lambda n=count: inside.door.forward._gate.running == 0 and stage.predicted() >= n, "it was answered")  # type: ignore[misc]
            until(lambda: inside.door.edge.crowd.unread_bytes <= 20 * MIB, "there is room again")
        until(lambda: inside.metric('brainseg_front_closed_total{why="unread"}') >= 2, "the first two are cut off")
        assert served(inside)


def test_a_slow_reader_who_reads_gets_all(stage: Stage) -> None:
    stage.predictions = [LARGE]
    with door(stage) as inside, unread(inside.port, head(size=len(SCAN)) + SCAN) as connection:
        until(lambda: inside.door.edge.crowd.unread_bytes > 0, "the answer waits")
        status, _, body = read_answer(connection)
        assert (status, len(body) > 8 * MIB) == (200, True)


def test_pace_counts_over_whole_spans() -> None:
    pace = Pace(10, 2)
    assert not pace.slow(0, 100.0)
    assert not pace.slow(0, 101.9)
    assert pace.slow(19, 102.0)
    assert not pace.slow(39, 104.0)
    pace.rest()
    assert not pace.slow(39, 200.0)


@pytest.mark.parametrize(
    ("address", "home"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix", "unix"),
    ],
)
def test_whose_an_address_is(address: str, home: str) -> None:
    assert neighbourhood(address) == home
