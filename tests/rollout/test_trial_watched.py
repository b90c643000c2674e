"""Who watches a trial, and the front door that follows it, before a stand-in for TorchServe: quick, and without one.
What a real one does is in ``test_trial.py``."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import requests

from exchange.trial import BREACHED, BY_CLIENT, CANARY, COMPARED, PROMOTED, SHADOW, STOPPED, UNWATCHED, read_trial
from rollout import history
from rollout.errors import NoServerError, NoTargetError, RolloutError, TakenBackError
from rollout.limits import CanaryLimits, Limits, ShadowLimits, read_limits
from rollout.lock import locked
from rollout.server import TorchServe
from rollout.site import Site
from rollout.state import Deployed, Deployment, Phase, read_deployment, write_deployment
from rollout.trial import book, returning, run
from rollout.trial.past import check_shadowed
from rollout.trial.run import Plan, canary, shadow
from rollout.trial.show import trial_lines, trial_of
from rollout.unwatched import is_unwatched, take_back_at_start
from scripts.commands.deploy_trial import _ordered
from tests.waiting import until
from tests.web.inside import Inside, opened
from tests.web.standin import Scripted, Stage, standing_in
from tests.web.test_shadow import answer, box
from web.settings import Settings
from web.shares import shadow as web_shadow

SCAN = b"\x89PNG\r\n\x1a\n"


@dataclass
class Two(Stage):
    """Versions 1.0 (live) and 2.0. ``ms``: of each in the handler; ``rows``: of each mask; ``failing``: 2.0 fails."""

    ms: dict[str, float] = field(default_factory=lambda: {"1.0": 20.0, "2.0": 20.0})
    rows: dict[str, int] = field(default_factory=lambda: {"1.0": 4, "2.0": 4})
    failing: bool = False

    def answer(self, method: str, path: str, authorization: str) -> Scripted:
        if not path.startswith("/predictions"):
            return super().answer(method, path, authorization)
        version = path.rsplit("/", 1)[1] if path.count("/") > 2 else self.versions[0]
        if self.failing and version == "2.0":
            return (500, "application/problem+json", {"code": "internal_error"})
        said = answer(box(self.rows[version])) | {"model": {"version": version}}
        self.answer_headers = {"X-BrainSeg-Model-Version": "1.0"}
        return (200, "application/json", said | {"timing_ms": {"inference": self.ms[version] + time.monotonic() % 1}})


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Two]:
    monkeypatch.setattr(run, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(web_shadow, "AFTER_SECONDS", 0.0)
    with standing_in(Two(versions=("1.0", "2.0"))) as stage:
        assert isinstance(stage, Two)
        yield stage


@pytest.fixture
def front(stage: Two, tmp_path: Path) -> Iterator[Inside]:
    with opened(Settings(stage.url, stage.url, deployment=tmp_path / "deployment.json")) as inside:
        yield inside


def deployed(version: str) -> Deployed:
    return Deployed(version, f"brainseg-{version}-ab.mar", f"sha256:{version}", "2026-01-01T00:00:00Z")


SUBJECT, LIVE = deployed("2.0"), Deployment(deployed("1.0"))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """With the limits of the repository, but fewer requests wanted."""
    limits: Limits = replace(
        read_limits(), canary=CanaryLimits(min_requests=5), shadow=ShadowLimits(disagreement=0.05, min_compared=5)
    )
    (tmp_path / "store").mkdir()
    there = SimpleNamespace(state=tmp_path, store=tmp_path / "store", version=lambda _version: SimpleNamespace(pids=()))
    write_deployment(tmp_path, LIVE)
    return Site(cast("TorchServe", there), limits, "ann", lambda _line: None)


@contextmanager
def clients(front: Inside) -> Iterator[list[tuple[str, int]]]:
    """Three of them; key and status of each answer. The versions are in ``front``'s outcomes."""
    stop, seen = threading.Event(), []

    def one(number: int) -> None:
        count = number
        while not stop.is_set():
            count += 3
            headers = {"Content-Type": "image/png", "X-Request-Key": f"key{count}"}
            reply = requests.post(f"{front.url}/api/v1/segment", data=SCAN, headers=headers, timeout=120)
            seen.append((reply.json()["model"]["version"] if reply.ok else "", reply.status_code))

    threads = [threading.Thread(target=one, args=(number,), daemon=True) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join(120)


def quietly(_line: str, _stays: bool) -> None:
    return


@contextmanager
def watched(site: Site, *shares: float, every: float = 0.0) -> Iterator[Future[dict[str, Any]]]:
    """The canary under watch, in another thread; it is ended if it has not by itself."""
    with ThreadPoolExecutor(1) as pool, locked(site.state):
        found = pool.submit(lambda: canary(site, Plan(shares, BY_CLIENT, every), quietly)(LIVE, SUBJECT))
        until(lambda: ((one := read_trial(site.state)) and not one.ended) or found.done(), "no trial began")
        try:
            yield found
        finally:
            trial = read_trial(site.state)
            if trial and not found.done():
                book.order(site.state, trial, book.STOP)
                found.exception(120)


def test_a_canary_is_given_more_by_word_and_then_promoted(site: Site, front: Inside) -> None:
    with clients(front) as seen, watched(site, 5.0) as found:
        with pytest.raises(RolloutError, match="not promoted yet: it has answered"):
            _ordered(site.state, CANARY, book.PROMOTE)
        assert "answers 60 % now" in _ordered(site.state, CANARY, "60")
        until(lambda: (trial_of(site.state) or {})["figures"].get("canary_requests", 0) >= 12, "few were answered")
        lines = trial_lines(trial_of(site.state))
        assert "canary 2.0 answers 60 % of the requests" in lines[0]
        assert "evidence against it at most" in lines[1]
        change = read_deployment(site.state).change  # type: ignore[union-attr]
        assert change is not None
        assert change.phase == Phase.CANARY
        assert _ordered(site.state, CANARY, book.PROMOTE) == "it is promoted"
        figures = found.result(120)
        book.end(site.state, PROMOTED)  # as rollout.promote does
    assert {status for _, status in seen} == {200}
    assert {version for version, _ in seen} == {"1.0", "2.0"}
    assert figures["canary_requests"] >= 12
    assert [event.decision for event in history.read(site.state)] == ["canary", "canary"]
    assert not list(site.state.glob("trial-*"))
    assert trial_lines(trial_of(site.state)) == ["last trial: canary 2.0, ended: promoted"]
    with pytest.raises(NoTargetError):
        _ordered(site.state, CANARY, book.PROMOTE)


def test_steps_are_taken_by_themselves(site: Site, front: Inside) -> None:
    with clients(front) as seen, watched(site, 30.0, 60.0, 90.0, every=0.2) as found:
        figures = found.result(120)
    assert {status for _, status in seen} == {200}
    assert figures["canary_requests"] >= 15
    shares = [event.reason.split(" %")[0].rsplit(" ", 1)[1] for event in history.read(site.state)]
    assert shares == ["30", "60", "90"]


def test_a_trial_waits_for_its_server_and_goes_on_with_what_it_knows(
    site: Site, front: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, loaded, said = threading.Event(), [], []

    def version(_version: str) -> Any:
        if gone.is_set():
            raise NoServerError("nobody answers")
        return SimpleNamespace(pids=(), complete=True)

    vars(site.server).update(version=version, default=lambda: "1.0", reopen=lambda: None)
    monkeypatch.setattr(run, "SERVER_SECONDS", 0.05)
    monkeypatch.setattr(returning, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(returning, "load_again", lambda _site, one: loaded.append(one))

    def seen_by_it() -> int:
        return int((trial_of(site.state) or {})["figures"].get("canary_requests", 0))

    with clients(front), watched(replace(site, say=said.append), 60.0) as found:
        until(lambda: seen_by_it() >= 5, "few were answered")
        before, trial = seen_by_it(), read_trial(site.state)
        gone.set()
        until(lambda: any("waits for it" in line for line in said), "it does not see that the server is gone")
        assert loaded == []
        assert read_trial(site.state).share == 0  # type: ignore[union-attr]
        assert not is_unwatched(site.state, read_deployment(site.state))
        gone.clear()
        until(lambda: loaded and seen_by_it() >= before + 5, "it does not go on")
        assert read_trial(site.state) == trial
        assert loaded == [SUBJECT]
        assert _ordered(site.state, CANARY, book.PROMOTE) == "it is promoted"
        assert found.result(120)["canary_requests"] >= before + 5
    assert [event.reason.partition(" %")[0] for event in history.read(site.state)][1] == "goes on at 60"


def test_a_server_that_stays_away_ends_the_trial(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_: Any) -> Any:
        raise NoServerError("nobody answers")

    vars(site.server).update(version=nobody, default=nobody, reopen=nobody)
    monkeypatch.setattr(returning, "RETURN_SECONDS", 0.05)
    monkeypatch.setattr(returning, "POLL_SECONDS", 0.02)
    with watched(site, 60.0) as found, pytest.raises(NoServerError, match="nobody answers"):
        found.result(120)


def test_a_share_lasts_as_long_as_there_is_a_server(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    trial = book.begin(site.state, CANARY, SUBJECT, 20.0, BY_CLIENT)
    one = run._Run(site, trial, quietly, SUBJECT, "1.0")
    monkeypatch.setattr(run, "await_return", lambda *_: time.sleep(0.3))
    before = time.monotonic() - one.clock()
    one._await_return(NoServerError("nobody answers"), {})
    assert time.monotonic() - one.clock() >= before + 0.3


# Of how many requests twice the time stands out depends on what else takes the machine's.
@pytest.mark.parametrize("worse", [pytest.param("latency", marks=pytest.mark.latency), "error rate"])
def test_a_worse_canary_is_taken_back_by_itself(worse: str, stage: Two, site: Site, front: Inside) -> None:
    with clients(front) as seen:
        until(lambda: len(seen) > 20, "nobody is answered")
        if worse == "latency":
            stage.ms["2.0"] *= 2
        else:
            stage.failing = True
        with watched(site, 50.0) as found, pytest.raises(TakenBackError, match=worse) as error:
            found.result(300)
        after = len(seen)
        until(lambda: len(seen) > after + 20, "nobody is answered")
        late = [version for version, _ in seen[after + 6 :]]
    assert {status for _, status in seen} == {200}
    assert set(late) == {"1.0"}
    assert error.value.figures["canary_requests"] <= 100
    trial = read_trial(site.state)
    assert trial is not None
    assert (trial.ended, trial.share) == (BREACHED, 0.0)


def _shadowed(site: Site, seconds: float = 0.0) -> Any:
    return shadow(site, Plan((100.0,), "request", seconds=seconds), quietly, LIVE, SUBJECT)


def test_a_shadow_that_disagrees_is_taken_back_and_refused_later(stage: Two, site: Site, front: Inside) -> None:
    stage.rows["2.0"] = 3
    with clients(front) as seen, pytest.raises(TakenBackError, match="disagreement") as error:
        _shadowed(site)
    assert set(seen) == {("1.0", 200)}
    figures = error.value.figures
    assert figures["shadow_dice"] == pytest.approx(6 / 7)
    assert len(figures["shadow_worst"][0]["sha256"]) == 64
    assert read_trial(site.state).ended == BREACHED  # type: ignore[union-attr]
    site.log(SUBJECT, "taken-back", str(error.value), "1.0", figures)  # as rollout.release does
    same = cast("Any", SimpleNamespace(version="2.0", sha256=SUBJECT.sha256))
    with pytest.raises(RolloutError, match="disagreed too much"):
        check_shadowed(site, same)
    check_shadowed(site, cast("Any", SimpleNamespace(version="2.0", sha256="sha256:other")))
    loose = replace(site, limits=replace(site.limits, shadow=ShadowLimits(disagreement=0.5)))
    check_shadowed(loose, same)


def test_a_shadow_that_agrees_goes_on_until_it_is_stopped(site: Site, front: Inside) -> None:
    with clients(front) as seen, ThreadPoolExecutor(1) as pool, locked(site.state):
        found = pool.submit(_shadowed, site)
        until(
            lambda: ((trial_of(site.state) or {}).get("figures") or {}).get("shadow_compared", 0) >= 6, "few compared"
        )
        assert "compared, mean Dice 1, 0 other verdicts" in trial_lines(trial_of(site.state))[1]
        assert _ordered(site.state, SHADOW, book.STOP) == f"shadow 2.0 has ended: {COMPARED}"
        assert found.result(120).over() == ""
    assert set(seen) == {("1.0", 200)}


def test_a_start_ends_a_trial_that_nobody_watches(site: Site) -> None:
    write_deployment(site.state, LIVE.in_phase(Phase.CANARY, SUBJECT, "ann"))
    (site.server.store / SUBJECT.archive).write_text("")
    trial = book.begin(site.state, CANARY, SUBJECT, 20.0, BY_CLIENT)
    book.tell(site.state, {"trial": trial.id, "figures": {}})
    said: list[str] = []
    assert is_unwatched(site.state, read_deployment(site.state))
    take_back_at_start(site.state, site.server.store, said.append)
    assert read_deployment(site.state) == LIVE
    after = read_trial(site.state)
    assert after == replace(trial, share=0.0, ended=UNWATCHED)
    assert not list(site.server.store.glob("*.mar"))
    assert not list(site.state.glob("trial-*"))
    assert [(event.version, event.decision) for event in history.read(site.state)] == [("2.0", "taken-back")]
    assert "not on trial any more" in said[0]


def test_what_is_written_down_of_a_trial_is_read_again_and_cleared(tmp_path: Path) -> None:
    book.end(tmp_path, STOPPED)
    assert read_trial(tmp_path) is None
    trial = book.begin(tmp_path, CANARY, SUBJECT, 5.0, BY_CLIENT)
    assert book.current(tmp_path) == trial
    asked = book.order(tmp_path, trial, "25")
    assert book.taken(tmp_path, replace(trial, id="other")) is None
    assert book.taken(tmp_path, trial) is None  # an order for another one is gone with it
    asked = book.order(tmp_path, trial, "25")
    assert (book.taken(tmp_path, trial), book.taken(tmp_path, trial)) == (asked, None)
    (tmp_path / book.ORDER_FILE).write_text("{")
    assert book.taken(tmp_path, trial) is None
    book.end(tmp_path, STOPPED)
    book.end(tmp_path, BREACHED)
    assert read_trial(tmp_path).ended == STOPPED  # type: ignore[union-attr]
    (tmp_path / "trial.json").write_text("{")
    with pytest.raises(RolloutError, match="is not a trial"):
        book.current(tmp_path)
    book.end(tmp_path, STOPPED)
    assert book.current(tmp_path) is None
