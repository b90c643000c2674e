"""A little of each part against one server; all of it, short, is long."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from prove import doors, hostile, memory, neighbours, orientations
from prove.hostile import opened, send_all
from prove.proof import Claims, Ground
from prove.server import Server
from prove.stand import served
from prove.usage import look, same_processes
from tests.waiting import until

pytestmark = pytest.mark.server
EFFORT = {
    hostile.INPUTS: 20,  # each way has one at least
    neighbours.MUTATED: 1,
    orientations.TURNS: 3,
    orientations.ASKED: 1,
    memory.REQUESTS: 24,
    memory.SETTLED: 8,
}


@pytest.fixture(scope="module")
def server(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(tiny_store, tmp_path_factory.mktemp("prove"), grpc=True, jobs=True) as server:
        yield server


@pytest.fixture
def ground(tiny_store: Path, tmp_path: Path) -> Ground:
    return Ground(1, EFFORT, tiny_store, tmp_path, tmp_path)


@pytest.fixture
def claims() -> Claims:
    return Claims("part", 1, "command")


def faults(claims: Claims) -> list[str]:
    assert claims.rows
    return [f"{row.claim}: {row.seen}, expected {row.expected}" for row in claims.rows if not row.passed]


def test_hostile_by_every_way(server: Server, ground: Ground, claims: Claims) -> None:
    with opened(server, ground) as ways:
        assert {way.name for way in ways} == set(hostile.SHARES)
        send_all(server, ways, ground, claims)
    assert faults(claims) == []


def test_neighbours_in_a_batch(server: Server, ground: Ground, claims: Claims) -> None:
    neighbours.compare(server, "brainseg-1.0.mar", ground, claims)
    assert faults(claims) == []
    assert server.describe(model="brainseg")


def test_orientations(server: Server, ground: Ground, claims: Claims) -> None:
    for asked in (1, 2):  # in two turns
        ground = replace(ground, effort={**EFFORT, orientations.ASKED: asked})
        orientations.core(ground, claims)
        orientations.through(server, ground, claims)
    assert faults(claims) == []
    assert ground.kept["done"] == 2
    assert "in 2 orientations" in claims.rows[-2].claim
    assert ground.kept["core"]["NIfTI"] == [0, 6, 6]


def test_doors(server: Server, ground: Ground, claims: Claims) -> None:
    quick = (one for one in doors.front(server) if "a byte a second" not in one.what)  # those take their time
    doors.try_all(quick, claims)
    doors.try_all(doors.torchserve(server), claims)
    doors.files(server, ground.folder, claims)
    assert faults(claims) == []


def test_memory_is_looked_at_and_drawn(server: Server, ground: Ground, claims: Claims) -> None:
    memory.prove(server, ground, claims)
    assert (ground.plots / "memory.png").stat().st_size > 5000
    told = [row.claim for row in claims.rows]
    assert sum("growth of memory" in one for one in told) == 4, told
    # So few requests say nothing about growth; the rest must hold.
    assert [row for row in claims.rows if not row.passed and "growth" not in row.claim] == []


def test_a_process_that_died_is_seen(server: Server) -> None:
    before = look(server.processes(), server.temporary)
    os.kill(server.processes()["worker"].pid, signal.SIGKILL)
    until(lambda: "worker" in server.processes() and server.post(b"x").status_code == 415, "no new worker came")
    assert same_processes(before, look(server.processes(), server.temporary)) == ["worker"]
