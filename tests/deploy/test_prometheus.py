"""A real Prometheus before real servers: every query has an answer, and alerts fire by faults that are made."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from prove.server import Server
from tests.conftest import StartFront
from tests.deploy.prometheus import Prometheus, panel_queries, prometheus, rules, selectors
from tests.serving.test_operations import manage
from tests.waiting import until
from tests.web.inside import Inside, opened
from tests.web.standin import DIED, OK, Stage, standing_in
from web.health.drift import FORMAT, QUANTITIES, Drift
from web.settings import Bounds, Settings

pytestmark = pytest.mark.server
KEY = "a-key-of-24-characters-00"
RESTARTS = "brainseg_front_worker_restarts_total"


def window(path: Path) -> None:
    """A window of drift with enough slices to be held against the card."""
    drift = Drift(path, lambda _version: None)
    drift.observe(
        json.dumps({"format": FORMAT, "version": "1.0", "counts": {name: [50] * n for name, n in QUANTITIES.items()}})
    )
    drift.close()


def test_every_query_is_answered_and_faults_of_a_real_server_are_told(
    detector: Server, start_front: StartFront, lesion: bytes, tmp_path: Path
) -> None:
    (tmp_path / "keys").write_text(f"prometheus {KEY}\n")
    window(tmp_path / "drift.json")
    own = ["--api-keys", str(tmp_path / "keys"), "--deployment", str(tmp_path / "deployment.json")]
    front = start_front(*own, "--drift", str(tmp_path / "drift.json"))
    targets = {"brainseg": f"127.0.0.1:{front.port}", "brainseg-torchserve": f"127.0.0.1:{detector.metrics_port}"}

    def send(scan: bytes, status: int = 200) -> None:
        auth = {"Authorization": f"Bearer {KEY}"}
        reply = requests.post(f"{front.url}/api/v1/segment?outputs=none", data=scan, headers=auth, timeout=300)
        assert reply.status_code == status, reply.text

    def silent() -> set[str]:
        return {name for name, query in asked.items() if not here.query(query)}

    def all_answered() -> bool:
        send(lesion)
        return not silent()

    asked = panel_queries() | {one: one for rule in rules() for one in selectors(rule["expr"])}
    with prometheus(tmp_path, targets, KEY) as here:
        until(lambda: here.value("brainseg_front_ready") == 1, "the front door is ready")
        send(b"no scan", 415)
        until(all_answered, lambda: f"no series: {silent()}", every=0.5)
        for rule in rules():
            here.query(rule["expr"])
        assert here.value('min(brainseg_front_token_expires_seconds{kind="inference"}) - time()') > 3600

        before = here.value(f'{RESTARTS}{{model_version="1.0"}}')
        os.kill(detector.worker_pids("1.0")[0], signal.SIGKILL)
        until(lambda: here.value(f'{RESTARTS}{{model_version="1.0"}}') == before + 1, "the killed worker is counted")

        try:
            assert manage(detector, "PUT", "/brainseg/1.0", min_worker="0", max_worker="0", synchronous="true").ok
            until(lambda: here.fires("BrainSegNotReady"), "no worker is told")
        finally:
            manage(detector, "PUT", "/brainseg/1.0", min_worker="1", max_worker="1", synchronous="true")
        until(lambda: here.value("brainseg_front_ready") == 1 and not here.fires("BrainSegNotReady"), "it clears")

        front.stop()
        until(lambda: here.fires("BrainSegDown"), "a front door that is gone is told")
        front.start()
        until(lambda: not here.fires("BrainSegDown"), "it clears")


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, Inside, Prometheus, Path]]:
    """A front door before a stand-in that does as it is told, and a Prometheus before it."""
    folder = tmp_path_factory.mktemp("staged")
    write_keys(folder / "keys.json", timedelta(days=1))
    bounds = replace(Bounds(), running=1, waiting=8)
    with standing_in(Stage()) as stage:
        settings = Settings(stage.url, stage.url, key_file=folder / "keys.json", bounds=bounds)
        with opened(settings) as inside, prometheus(folder, {"brainseg": f"127.0.0.1:{inside.port}"}) as here:
            until(lambda: here.value("brainseg_front_ready") == 1, "it is ready")
            yield stage, inside, here, folder / "keys.json"


Staged = tuple[Stage, Inside, Prometheus, Path]


def write_keys(path: Path, left: timedelta) -> None:
    """TorchServe's key file, its tokens good for ``left``."""
    ends = (datetime.now(UTC) + left).strftime("%Y-%m-%dT%H:%M:%S.000000000Z")
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps({k: {"key": "k" * 8, "expiration time": ends} for k in ("inference", "management")}))
    partial.replace(path)


def post(inside: Inside, scan: bytes) -> int:
    return requests.post(f"{inside.url}/api/v1/segment", data=scan, timeout=300).status_code


def test_lost_workers_spend_the_budget(staged: Staged) -> None:
    stage, inside, here, _ = staged
    stage.predictions = [DIED]

    def lost() -> bool:
        post(inside, f"a scan {time.monotonic()}".encode())
        return here.fires("BrainSegBudgetFast")

    until(lost, "the budget burns", every=0.2)
    stage.predictions = [OK]
    until(lambda: not here.fires("BrainSegBudgetFast"), "it clears")


def test_a_queue_that_stands_is_told(staged: Staged) -> None:
    stage, inside, here, _ = staged
    with ExitStack() as end:
        stage.hold()
        end.callback(stage.goes_on.set)
        for n in range(9):
            one = threading.Thread(target=post, args=(inside, f"scan {n}".encode()), daemon=True)
            one.start()
            end.callback(one.join, 60)
        until(lambda: inside.door.gate.waiting == 8, "eight wait")
        until(lambda: post(inside, b"one more") == 503 and here.fires("BrainSegQueueFull"), "it is full", every=0.2)
        until(lambda: here.fires("BrainSegQueueLong"), "it is long")
        stage.held = ()
        stage.goes_on.set()
    until(lambda: not here.fires("BrainSegQueueFull") and not here.fires("BrainSegQueueLong"), "it clears")


def test_workers_that_come_back_again_and_again_are_told(staged: Staged) -> None:
    stage, _, here, _ = staged

    def restarted() -> bool:
        stage.pid += 1
        return here.fires("BrainSegWorkerRestarts")

    until(restarted, "restarts are told", every=1.5)
    until(lambda: not here.fires("BrainSegWorkerRestarts"), "it clears")


def test_a_token_that_nobody_renews_is_told(staged: Staged) -> None:
    _, _, here, keys = staged
    write_keys(keys, timedelta(seconds=-60))
    until(lambda: here.fires("BrainSegTokenNearEnd"), "the token ends")
    write_keys(keys, timedelta(days=1))
    until(lambda: not here.fires("BrainSegTokenNearEnd"), "it clears")
