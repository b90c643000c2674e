"""Jobs from outside: accepted once, done, fetched, cancelled, forgotten; each by its owner alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.contract import check_problem
from tests.waiting import until
from tests.web.jobs.stage import PATIENCE, PROBLEM, SCAN, Asker, code, with_jobs
from tests.web.standin import DIED, NO_WORKER, OK, Stage, standing_in
from tests.web.test_document import validate
from web.contract.schemas import reference
from web.jobs import store as module
from web.jobs.entrance import jobs_of
from web.settings import Settings

ENDED = 'brainseg_front_jobs_ended_total{state="succeeded"}'
ANSWERED = 'brainseg_front_segmentations_total{code="ok",model_version="1.0"}'
REFUSED = (415, PROBLEM, {"code": "unsupported_format", "title": "…", "status": 415, "detail": "…", "type": "urn:x"})


@pytest.fixture(scope="module")
def shared() -> Iterator[Stage]:
    with standing_in(Stage()) as stage:
        yield stage


@pytest.fixture
def stage(shared: Stage) -> Stage:
    """As new."""
    shared.goes_on.set()
    shared.held, shared.predictions = (), [OK]
    shared.seen.clear()
    shared.headers = {}
    return shared


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("jobs") / "jobs"


@pytest.fixture(scope="module")
def open_door(shared: Stage, folder: Path) -> Iterator[Asker]:
    with with_jobs(shared, folder) as asker:
        yield asker


@pytest.fixture
def asker(open_door: Asker, stage: Stage) -> Asker:
    """Its front door is shared by the tests of this file."""
    return open_door


def files(folder: Path) -> dict[str, list[str]]:
    return {kind: sorted(path.name for path in (folder / kind).iterdir()) for kind in ("bodies", "results", "fetched")}


def test_a_job_is_done_and_gives_what_segment_gives(asker: Asker, stage: Stage, folder: Path) -> None:
    ended, answered = (asker.inside.metric(line) for line in (ENDED, ANSWERED))
    accepted = asker.post(query="?threshold=0.4", X_Request_Id="ward-7", Accept="application/json")
    assert accepted.status_code == 202, accepted.text
    told = accepted.json()
    validate(reference("Job"), told)
    assert accepted.headers["Location"] == f"/api/v1/jobs/{told['id']}"
    done = asker.ended(told["id"])
    validate(reference("Job"), done)
    assert (done["state"], done["status"], done["code"], done["ahead"]) == ("succeeded", 200, "ok", None)
    assert done["created"] <= done["ended"]
    assert done["result"] == f"/api/v1/jobs/{told['id']}/result"
    result, direct = (
        asker.result(told["id"]),
        requests.post(f"{asker.inside.url}/api/v1/segment?threshold=0.4", data=SCAN, timeout=PATIENCE),
    )
    assert (result.status_code, result.content) == (direct.status_code, direct.content)
    assert result.headers["Content-Type"] == direct.headers["Content-Type"]
    sent = {name.lower(): value for name, value in stage.headers.items()}
    assert sent["x-brainseg-threshold"] == "0.4"
    assert asker.inside.metric(ENDED) == ended + 1
    assert asker.inside.metric(ANSWERED) == answered + 2
    assert files(folder)["bodies"] == []
    assert {oct(path.stat().st_mode & 0o777) for path in (folder, *folder.glob("*/"))} == {"0o700"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in (folder / "results").iterdir())


def test_a_refusal_is_the_result(asker: Asker, stage: Stage) -> None:
    stage.predictions = [REFUSED]
    identity = asker.post(X_Request_Id="ward-8").json()["id"]
    done = asker.ended(identity)
    assert (done["state"], done["status"], done["code"]) == ("failed", 415, "unsupported_format")
    result = asker.result(identity)
    check_problem(result.status_code, result.headers["Content-Type"], result.text, "unsupported_format")
    assert result.json()["instance"].endswith("ward-8")


def test_what_is_wrong_with_the_request_is_said_at_once(asker: Asker, stage: Stage) -> None:
    assert code(asker.post(b""), 400) == "empty_body"
    assert code(asker.post(query="?threshold=1&threshold=2"), 400) == "invalid_parameter"
    assert code(asker.post(query="?colour=red"), 400) == "invalid_parameter"
    assert code(asker.post(query="?version=../x"), 404) == "model_not_found"
    assert code(asker.post(Idempotency_Key="k" * 201), 400) == "invalid_parameter"
    assert code(asker.put("a b"), 400) == "invalid_parameter"
    assert code(asker.post(query="?webhook=https://hooks.example/"), 400) == "invalid_parameter"
    assert code(asker.ask("GET", "/nothing"), 404) == "job_not_found"
    assert code(asker.ask("DELETE", "/nothing"), 404) == "job_not_found"
    assert code(asker.ask("GET", ""), 405) == "method_not_allowed"
    assert stage.predicted() == 0


def test_the_same_request_again_is_the_same_job(asker: Asker, stage: Stage) -> None:
    first = asker.post(Idempotency_Key="scan 42").json()["id"]
    mine = asker.put("ward-7.scan").json()["id"]
    asker.ended(first)
    asker.ended(mine)
    for _ in range(2):
        assert asker.post(Idempotency_Key="scan 42").json()["id"] == first
        assert asker.put("ward-7.scan").json() == asker.job("ward-7.scan")
    assert asker.post().json()["id"] not in (first, mine)
    until(lambda: stage.predicted() == 3, "the third job was not done")
    for reply in (asker.post(SCAN + b"1", Idempotency_Key="scan 42"), asker.put("ward-7.scan", query="?threshold=0.2")):
        assert code(reply, 409) == "conflict"


def test_a_waiting_job_has_no_result_and_can_be_cancelled(asker: Asker, stage: Stage, folder: Path) -> None:
    before = len(files(folder)["results"])
    stage.hold()
    running = asker.post().json()["id"]
    asker.until(running, "running")
    until(lambda: stage.headers != {}, "the job never came to TorchServe")
    waiting = [asker.put(f"n{number}").json()["id"] for number in range(6)]
    until(lambda: asker.job(waiting[5])["ahead"] == 6, "the last one is not behind six")
    conflict = asker.result(running)
    assert code(conflict, 409) == "conflict"
    assert conflict.headers["Retry-After"]
    queued = 'brainseg_front_jobs{state="queued"}'
    until(lambda: asker.inside.metric(queued) == 3, "not four are looked after, of which one is at TorchServe")
    assert asker.inside.metric("brainseg_front_jobs_bytes") == 7 * len(SCAN)
    assert asker.inside.metric("brainseg_front_jobs_oldest_seconds") > 0
    for identity in (running, waiting[5]):
        reply = asker.ask("DELETE", f"/{identity}")
        assert (reply.status_code, reply.json()["state"]) == (200, "cancelled")
        validate(reference("Job"), reply.json())
        assert code(asker.result(identity), 409) == "conflict"
    stage.goes_on.set()
    for identity in waiting[:5]:
        assert asker.ended(identity)["state"] == "succeeded"
    assert asker.job(running)["state"] == "cancelled"
    assert len(files(folder)["results"]) == before + 5
    assert asker.ask("DELETE", f"/{running}").status_code == 204
    assert code(asker.ask("GET", f"/{running}"), 404) == "job_not_found"
    again = asker.put(waiting[5]).json()  # a cancelled one is what it is
    assert again["state"] == "cancelled"
    asker.ask("DELETE", f"/{waiting[5]}")
    asker.put(waiting[5])
    assert asker.ended(waiting[5])["state"] == "succeeded"


def test_what_is_busy_is_waited_for(asker: Asker, stage: Stage) -> None:
    stage.predictions = [NO_WORKER, NO_WORKER, OK]
    assert asker.ended(asker.post().json()["id"])["state"] == "succeeded"
    stage.predictions = [DIED, DIED]
    lost = asker.ended(asker.post(SCAN + b"killer").json()["id"])
    assert (lost["status"], lost["code"]) == (502, "worker_lost")


def test_interactive_requests_go_beside_jobs(asker: Asker, stage: Stage) -> None:
    """Seven jobs wait; of four places at TorchServe one is theirs."""
    stage.hold()
    jobs = [asker.post().json()["id"] for _ in range(7)]
    until(lambda: stage.headers != {}, "no job came to TorchServe")
    time.sleep(1)  # another one would come within two looks of the queue
    assert asker.inside.door.gate.running == 1
    stage.held = ("/brainseg/1.0",)
    stage.predictions = [OK]
    reply = requests.post(f"{asker.inside.url}/api/v1/segment", data=SCAN, timeout=PATIENCE)
    assert reply.status_code == 200
    stage.goes_on.set()
    assert all(asker.ended(identity)["state"] == "succeeded" for identity in jobs)


def test_results_go_some_time_after_they_were_fetched(
    asker: Asker, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GRACE_SECONDS", 0.0)
    kept, fetched = (asker.post(SCAN + bytes([n])).json()["id"] for n in range(2))
    for identity in (kept, fetched):
        asker.ended(identity)
    assert asker.ask("HEAD", f"/{fetched}/result").status_code == 200
    assert not any(name.endswith(fetched) for name in files(folder)["fetched"])
    assert asker.result(fetched).ok
    until(lambda: not asker.job(fetched)["result"], "the result that was fetched is still there")
    assert code(asker.result(fetched), 404) == "job_not_found"
    job = asker.job(fetched)
    assert (job["state"], job["result"]) == ("succeeded", None)
    assert asker.job(kept)["result"]
    assert not any(name.endswith(fetched) for names in files(folder).values() for name in names)


def test_how_long_results_are_kept(tmp_path: Path) -> None:
    from web.contract.fields import Answer

    for keep, fetched, gone_at in ((0.0, False, 86400.0), (0.0, True, 300.0), (3600.0, True, 3600.0)):
        found = module.Store(tmp_path / f"{keep}-{fetched}", keep)
        found.put_answer("a", Answer(200, {}, b"x"))
        if fetched:
            found.fetched("a")
        ended = (found.folder / "results" / "a").stat().st_mtime
        found.sweep(ended + gone_at - 2)
        assert found.answer("a") == Answer(200, {}, b"x")
        found.sweep(ended + gone_at + 2)
        assert found.answer("a") is None
        found.close()


def test_a_folder_has_one_front_door(stage: Stage, asker: Asker, folder: Path) -> None:
    from web.access.who import StartError
    from web.app import create_app
    from web.settings import JobBounds

    with pytest.raises(StartError, match="another front door"):
        create_app(Settings(stage.url, stage.url, jobs=JobBounds(folder)))


def test_a_server_without_jobs_says_so(stage: Stage) -> None:
    from tests.web.inside import opened

    with opened(Settings(stage.url, stage.url)) as inside:
        asker = Asker(inside, {})
        assert jobs_of(inside.app) is None
        for method, path in (("POST", ""), ("PUT", "/a"), ("GET", "/a"), ("GET", "/a/result"), ("DELETE", "/a")):
            reply = asker.ask(method, path, data=SCAN)
            assert code(reply, 404) == "not_found"
            assert "--jobs FOLDER" in reply.json()["detail"]
