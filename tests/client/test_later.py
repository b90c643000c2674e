"""Jobs by way of the Python client, against a front door with jobs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from brainseg_client import Client, NotFoundError, ScanError, UnreachableError
from brainseg_client.command import main
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


def test_a_client_of_jobs_asks_as_any_other(asker: Asker, stage: Stage, lesion: bytes) -> None:
    client = Client(asker.inside.url, as_jobs=True)
    assert client.segment(lesion, outputs=(), slices=(0, 0)).tumor_pixels == SEGMENTATION["tumor_pixels"]
    assert client.models()[0].version == "1.0"
    paths = [path for method, path, _ in stage.seen if method == "POST" and path.startswith("/predictions")]
    assert len(paths) == 1
    # What was fetched is forgotten, so the same scan is a job of its own the next time.
    assert client.segment(lesion, outputs=(), slices=(0, 0)).input.sha256 == SEGMENTATION["input"]["sha256"]
    assert stage.predicted() == 2
    counted = asker.inside.metric('brainseg_front_jobs_ended_total{state="succeeded"}')
    assert counted == 2
    stage.predictions = [(422, "application/problem+json", {"code": "corrupt_image", "detail": "cut off"})]
    with pytest.raises(ScanError) as caught:
        client.segment(lesion + b"2")
    assert caught.value.code == "corrupt_image"


def test_a_folder_by_jobs_goes_on_where_it_was_cut_off(
    asker: Asker, stage: Stage, lesion: bytes, tmp_path: Path
) -> None:
    (tmp_path / "scans").mkdir()
    for name in ("a", "b"):
        (tmp_path / "scans" / f"{name}.png").write_bytes(lesion + name.encode())
    words = ["segment", str(tmp_path / "scans"), "--out", str(tmp_path / "out"), "--job", "--url", asker.inside.url]
    stage.hold()
    first = Client(asker.inside.url, as_jobs=True)
    first.stop_waiting()  # as after Ctrl-C
    asked = {"version": "1.0", "outputs": ("mask", "overlay")}
    with pytest.raises(UnreachableError):
        first.segment(lesion + b"a", **asked)  # type: ignore[arg-type]
    stage.goes_on.set()
    assert main(words) == 0
    assert sorted(path.name for path in (tmp_path / "out" / "scans").glob("*.json")) == ["a.json", "b.json"]
    assert stage.predicted() == 2
