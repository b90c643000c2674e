"""Server-sent events of a job, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import until
from tests.web.jobs.stage import PATIENCE, Asker, code, with_jobs
from tests.web.standin import Stage, standing_in


@pytest.fixture
def stage() -> Iterator[Stage]:
    with standing_in(Stage()) as stage:
        yield stage


def states(asker: Asker, identity: str, heard: str = "") -> list[str]:
    """Reads to the end."""
    reply = asker.ask("GET", f"/{identity}/events", headers={"Last-Event-ID": heard} if heard else {})
    assert reply.headers["Content-Type"].startswith("text/event-stream")
    events = [block.splitlines() for block in reply.text.split("\n\n") if block.startswith("id:")]
    for identifier, kind, data in events:
        assert kind == "event: state"
        assert f"id: {json.loads(data.removeprefix('data: '))['state']}" == identifier
    return [identifier.removeprefix("id: ") for identifier, _, _ in events]


def test_states_as_they_come_and_no_event_twice(stage: Stage, tmp_path: Path) -> None:
    stage.hold()
    with with_jobs(stage, tmp_path / "jobs", watchers=2) as asker:
        asker.put("scan")
        url = f"{asker.inside.url}/api/v1/jobs/scan/events"
        import requests

        with requests.get(url, stream=True, timeout=PATIENCE) as following:
            lines = following.iter_lines(chunk_size=1, decode_unicode=True)
            heard: list[str] = []
            for line in lines:
                if line.startswith("id: "):
                    heard.append(line.removeprefix("id: "))
                if heard[-1:] == ["running"]:
                    stage.goes_on.set()
            assert heard[-2:] == ["running", "succeeded"]
        assert states(asker, "scan") == ["succeeded"]
        assert states(asker, "scan", "running") == ["succeeded"]
        assert asker.ask("GET", "/scan/events", headers={"Last-Event-ID": "succeeded"}).status_code == 204
        assert code(asker.ask("GET", "/nothing/events"), 404) == "job_not_found"
        stage.hold()
        asker.put("long")
        open_ones = [requests.get(url.replace("scan", "long"), stream=True, timeout=PATIENCE) for _ in range(2)]
        full = asker.ask("GET", "/long/events")
        assert code(full, 503) == "queue_full"
        open_ones.pop().close()  # who goes makes room
        until(lambda: asker.ask("GET", "/scan/events").status_code == 200, "there is no room")
        stage.goes_on.set()
        asker.ended("long")
        open_ones.pop().close()
