"""Jobs by way of the Python client, against a front door with jobs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from brainseg_client import Client, NotFoundError, ScanError
from tests.waiting import until
from tests.web.jobs.stage import Asker, with_jobs
from tests.web.standin import Stage, standing_in
from web.contract.examples import SEGMENTATION


@pytest.fixture
def stage() -> Iterator[Stage]:
    with standing_in(Stage([(200, "application/json", SEGMENTATION)])) as stage:
        yield stage


@pytest.fixture
def asker(stage: Stage, tmp_path: Path) -> Iterator[Asker]:
    with with_jobs(stage, tmp_path / "jobs") as asker:
        yield asker


def test_submit_wait_cancel_forget(asker: Asker, stage: Stage, lesion: bytes) -> None:
    client = Client(asker.inside.url)
    job = client.submit(lesion, identity="ward-7", threshold=0.4, outputs=())
    assert client.submit(lesion, identity="ward-7", threshold=0.4, outputs=()).identity == "ward-7"
    assert job.result().tumor_pixels == SEGMENTATION["tumor_pixels"]
    assert client.job("ward-7").state().code == "ok"
    assert stage.predicted() == 1
    with pytest.raises(ScanError) as conflict:
        client.submit(lesion, identity="ward-7", threshold=0.5)
    assert (conflict.value.code, conflict.value.status) == ("conflict", 409)
    job.cancel()
    with pytest.raises(NotFoundError):
        job.state()
    stage.hold()
    waiting = client.submit(lesion + b"2")
    until(lambda: waiting.state().state == "running", "it does not run")
    with pytest.raises(TimeoutError):
        waiting.result(seconds=0.1)
    waiting.cancel()
    assert waiting.state().state == "cancelled"
    stage.goes_on.set()
    with pytest.raises(ScanError):
        waiting.result()
    with pytest.raises(ValueError, match="expected at most 64"):
        client.submit(lesion, identity="../models")


def test_the_error_of_a_job_is_that_of_segment(asker: Asker, stage: Stage, lesion: bytes) -> None:
    problem = {"code": "corrupt_image", "detail": "cut off", "status": 422}
    stage.predictions = [(422, "application/problem+json", json.loads(json.dumps(problem)))]
    with pytest.raises(ScanError) as caught:
        Client(asker.inside.url).submit(lesion).result()
    assert caught.value.code == "corrupt_image"
