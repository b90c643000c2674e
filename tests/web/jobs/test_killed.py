"""``kill -9`` of the front door at any moment: no accepted job is lost, none has two results."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from archive.store import ROOT, SAMPLES
from prove.server import environment
from samples.make import LESION
from serving.ports import free_port
from tests.rollout.stage import ARCHIVE
from tests.waiting import BOUND_SECONDS
from tests.web.workers import unpacked, working

pytestmark = pytest.mark.slow


class Mortal:
    """A front door that is killed and starts again, and a client that does not give up."""

    def __init__(self, behind: str, folder: Path) -> None:
        self._port = free_port()
        words = ["--port", str(self._port), "--inference-url", behind, "--management-url", behind]
        self._command = [sys.executable, "-m", "web.server", *words, "--jobs", str(folder)]
        self.kills = 0
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, cwd=ROOT, env=environment())

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self.kills += 1
        self.start()

    def stop(self) -> int:
        self._process.terminate()
        return self._process.wait(120)

    def ask(self, method: str, path: str, **how: Any) -> requests.Response:
        deadline = time.monotonic() + BOUND_SECONDS
        while True:
            try:
                return requests.request(
                    method, f"http://127.0.0.1:{self._port}/api/v1/jobs{path}", timeout=BOUND_SECONDS, **how
                )
            except requests.ConnectionError:
                assert time.monotonic() < deadline, "the front door does not come back"
                time.sleep(0.2)

    def job(self, identity: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", f"/{identity}").json()
        return found


def scans(count: int) -> dict[str, bytes]:
    """Bytes after the PNG's end make different files of one picture."""
    lesion = (SAMPLES / LESION).read_bytes()
    return {f"n{number}": lesion + number.to_bytes(2, "big") for number in range(count)}


def check_all(mortal: Mortal, sent: dict[str, bytes], after: Callable[[int], None] = lambda _: None) -> None:
    """Waits for every result, calls ``after`` for each, and looks at it twice."""
    for number, (identity, scan) in enumerate(sent.items()):
        deadline = time.monotonic() + BOUND_SECONDS
        while (job := mortal.job(identity))["state"] in ("queued", "running"):
            assert time.monotonic() < deadline, f"{identity} is not done"
            time.sleep(0.2)
        after(number)
        first, second = (mortal.ask("GET", f"/{identity}/result") for _ in range(2))
        assert job["state"] == "succeeded", first.text
        assert first.json()["input"]["sha256"] == hashlib.sha256(scan).hexdigest()
        assert first.content == second.content


def test_three_kills(packaged: Path, tmp_path: Path) -> None:
    """While jobs are accepted, while they run, while results are fetched."""
    sent = scans(6)
    with working(unpacked(packaged / ARCHIVE, tmp_path / "release"), "torch") as behind:
        mortal = Mortal(behind, tmp_path / "jobs")
        try:
            for number, (identity, scan) in enumerate(sent.items()):
                if number == 2:
                    mortal.kill()
                assert mortal.ask("PUT", f"/{identity}", data=scan).status_code == 202
            deadline = time.monotonic() + BOUND_SECONDS
            while not any(mortal.job(identity)["state"] in ("running", "succeeded") for identity in sent):
                assert time.monotonic() < deadline
            mortal.kill()
            check_all(mortal, sent, lambda number: mortal.kill() if number == 1 else None)
            assert mortal.kills == 3
            assert not list((tmp_path / "jobs" / "bodies").iterdir())
        finally:
            status = mortal.stop()
    assert status == 0


@pytest.mark.long  # a kill every few seconds through 200 jobs: minutes
def test_two_hundred_jobs_and_a_kill_every_few_seconds(packaged: Path, tmp_path: Path) -> None:
    sent = scans(200)
    with working(unpacked(packaged / ARCHIVE, tmp_path / "release"), "torch") as behind:
        mortal = Mortal(behind, tmp_path / "jobs")
        try:
            for number, (identity, scan) in enumerate(sent.items()):
                assert mortal.ask("PUT", f"/{identity}", data=scan).status_code == 202
                if number % 50 == 25:
                    mortal.kill()
            check_all(mortal, sent, lambda number: mortal.kill() if number % 20 == 10 else None)
            assert mortal.kills == 14
        finally:
            mortal.stop()
