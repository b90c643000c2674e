"""A front door with jobs before a stand-in for TorchServe, in this process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.waiting import until
from tests.web.inside import Inside, opened
from tests.web.standin import Stage
from web.settings import Bounds, JobBounds, Settings

PATIENCE = 120
SCAN = b"\x89PNG\r\n\x1a\n"
PROBLEM = "application/problem+json"


def code(reply: requests.Response, status: int) -> str:
    """The code of a refusal with this status."""
    assert reply.status_code == status, reply.text
    assert reply.headers["Content-Type"] == PROBLEM
    return str(reply.json()["code"])


@dataclass
class Asker:
    """Of one client; ``headers``: its key."""

    inside: Inside
    headers: Mapping[str, str]

    def ask(self, method: str, path: str = "", **how: Any) -> requests.Response:
        headers = {**self.headers, **how.pop("headers", {})}
        url = f"{self.inside.url}/api/v1/jobs{path}"
        return requests.request(method, url, headers=headers, timeout=PATIENCE, **how)

    def post(self, scan: bytes = SCAN, query: str = "", **headers: str) -> requests.Response:
        return self.ask("POST", query, data=scan, headers={name.replace("_", "-"): v for name, v in headers.items()})

    def put(self, identity: str, scan: bytes = SCAN, query: str = "") -> requests.Response:
        return self.ask("PUT", f"/{identity}{query}", data=scan)

    def job(self, identity: str) -> dict[str, Any]:
        reply = self.ask("GET", f"/{identity}")
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()
        return found

    def until(self, identity: str, *states: str) -> dict[str, Any]:
        until(lambda: self.job(identity)["state"] in states, f"{identity} was never {states}")
        return self.job(identity)

    def ended(self, identity: str) -> dict[str, Any]:
        return self.until(identity, "succeeded", "failed", "cancelled")

    def result(self, identity: str) -> requests.Response:
        return self.ask("GET", f"/{identity}/result")


@contextmanager
def with_jobs(stage: Stage, folder: Path, keys: Path | None = None, **how: Any) -> Iterator[Asker]:
    """``how``: as :class:`web.settings.JobBounds` and :class:`web.settings.Bounds` have it."""
    of_jobs = {name: how.pop(name) for name in ("keep_seconds", "hosts", "most", "most_bytes") if name in how}
    jobs = JobBounds(folder, **of_jobs)
    with opened(Settings(stage.url, stage.url, api_keys=keys, jobs=jobs, bounds=Bounds(**how))) as inside:
        yield Asker(inside, {})
