"""A canary and a shadow under four clients, with a real TorchServe and the real commands. Each prints its
numbers (-s)."""

from __future__ import annotations

import base64
import io
import json
import os
import random
import signal
import subprocess
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import requests
from PIL import Image

from archive.inputs import sample_files
from archive.known import record
from exchange.outcome import Outcome
from exchange.trial import BREACHED, PROMOTED, UNWATCHED, Trial, read_trial
from handler.pipeline import answer, open_model
from prove.releases import versioned
from prove.server import environment
from rollout.errors import Exit
from rollout.limits import read_limits
from rollout.trial.book import told as book_of
from rollout.trial.book import write
from rollout.trial.canary import Analysis
from rollout.trial.outcomes import Outcomes
from samples.phantom import draw
from tests.rollout.stage import ARCHIVE, CLIENTS, PAUSE_SECONDS, Stage, appended, make_stage, pausing, wrapped
from tests.waiting import until

pytestmark = pytest.mark.server
SEED = 20261128
DICE_LOSS = 0.05
QUICK = (
    ("latency: {samples: 8", "latency: {samples: 5"),
    ("median_ratio: 1.4, p95_ratio: 4.0, p95_seconds: 10, overhead_seconds: 0.3",
     "median_ratio: 9999, p95_ratio: 9999, p95_seconds: 100, overhead_seconds: 10"),
    ("p95_ratio: 8.0, probe_seconds: 1,", "p95_ratio: 100, probe_seconds: 1,"),
    ("failed_probes: 2", "failed_probes: 50"),
    ("start: {seconds: 120}", "start: {seconds: 300}"),
)  # fmt: skip
TRIALS = """\
canary: {false_alarms: 0.05, error_rate_rise: 0.01, latency_ratio: 1.5, verdict_shift: 0.05, refusal_shift: 0.02,
         coverage_shift: 0.05, min_requests: 5}
shadow: {false_alarms: 0.05, disagreement: 0.02, flips: 0.1, failures: 0.01, min_compared: 10}
"""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, packaged: Path) -> Iterator[Stage]:
    """The gate's own judgement of speed is tested elsewhere; here it would be in the way."""
    stage = make_stage(tmp_path_factory.mktemp("trial"), packaged)
    limits = stage.limits.read_text()
    for strict, quick in QUICK:
        assert strict in limits
        limits = limits.replace(strict, quick)
    stage.limits.write_text(limits + TRIALS)
    stage.server.start()
    yield stage
    stage.server.kill()


@pytest.fixture(scope="module")
def good(stage: Stage) -> dict[str, Path]:
    """Two versions to go between, by name, as good as each other."""
    first = stage.server.store / ARCHIVE
    return {"1.0": first, "2.0": versioned(first, stage.folder / "good-2.0.mar", "2.0")}


@pytest.fixture(scope="module")
def slow(stage: Stage, packaged: Path) -> Path:
    """3.0: 1.0 at half its speed."""
    plain = versioned(packaged / ARCHIVE, stage.folder / "plain-3.0.mar", "3.0")
    return appended(plain, stage.folder / "slow-3.0.mar", pausing(2 * PAUSE_SECONDS + 0.1))


@dataclass
class Ward:
    """:data:`CLIENTS` clients of the front door, each request with a key of its own. ``failed``: what did not come back
    as 200; ``answers``: version by key, in their order."""

    door: str
    scans: tuple[bytes, ...]
    failed: list[str] = field(default_factory=list)
    answers: list[tuple[str, str]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @contextmanager
    def open(self, keys: int = 10_000) -> Iterator[Ward]:
        """``keys``: how many there are, one after the other, again and again."""
        stop = threading.Event()

        def client(number: int) -> None:
            count = number
            while not stop.is_set():
                count += CLIENTS
                key, scan = str(count % keys), self.scans[count % len(self.scans)]
                headers = {"Content-Type": "image/png", "X-Request-Key": key}
                begin = time.monotonic()
                try:
                    reply = requests.post(f"{self.door}/api/v1/segment", data=scan, headers=headers, timeout=300)
                    if reply.ok:
                        self.seconds.append(time.monotonic() - begin)
                        self.answers.append((key, reply.json()["model"]["version"]))
                    else:
                        self.failed.append(f"{reply.status_code} {reply.text[:200]}")
                except requests.RequestException as error:
                    self.failed.append(repr(error))

        threads = [threading.Thread(target=client, args=(number,), daemon=True) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            stop.set()
            for thread in threads:
                thread.join(300)

    @property
    def versions(self) -> Counter[str]:
        return Counter(version for _, version in self.answers)


@contextmanager
def watching(stage: Stage, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """``scripts/deploy`` with ``arguments``, at work until the end of the context at most."""
    process = subprocess.Popen(
        stage.command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment()
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=300)


def trial(stage: Stage) -> Trial | None:
    return read_trial(stage.server.state)


def on_trial(stage: Stage, process: subprocess.Popen[str]) -> Trial:
    """What is on trial, once it is."""

    def begun() -> Trial | None:
        if process.poll() is not None:
            raise AssertionError(process.communicate()[0])
        found = trial(stage)
        return found if found and not found.ended else None

    return until(begun, "nothing was put on trial")


def consistent(stage: Stage, scan: bytes) -> None:
    """No share is given, nothing is under way, TorchServe serves what is declared, and the live version answers."""
    declared, found = stage.declared(), trial(stage)
    assert found is None or (found.share == 0 and found.ended)
    assert declared["change"] is None
    live = declared["live"]["version"]  # type: ignore[index]
    served = [one["version"] for one in [declared["live"], *declared["served"]]]  # type: ignore[misc,index]
    assert (stage.default(), stage.served()) == (live, sorted(served))
    assert not list(stage.server.state.glob("trial-*"))
    reply = requests.post(f"{stage.server.door}/api/v1/segment", data=scan, timeout=300)
    assert (reply.status_code, reply.json()["model"]["version"]) == (200, live)


def test_a_canary_goes_from_five_percent_to_live_without_a_failed_request(
    stage: Stage, good: dict[str, Path], lesion: bytes
) -> None:
    before = stage.default()
    wanted = "2.0" if before == "1.0" else "1.0"
    with Ward(stage.server.door, (lesion,)).open(keys=40) as ward:
        with watching(stage, "canary", good[wanted], "--share", "5") as process:
            on_trial(stage, process)
            refused = stage.deploy("promote")
            assert (refused.code, "is not promoted yet" in refused.out) == (Exit.FAILED, True), refused.out
            for share in ("30", "60"):
                grown = stage.deploy("canary", "--share", share)
                assert grown.code == Exit.DONE, grown.out
                seen = ward.versions[wanted]
                until(lambda seen=seen: ward.versions[wanted] >= seen + 10, f"few were answered at {share} %")  # type: ignore[misc]
            found = json.loads(stage.deploy("status", "--json").out)
            said = stage.deploy("status").out
            promoted = stage.deploy("promote")
            assert promoted.code == Exit.DONE, promoted.out
            out = process.communicate(timeout=300)[0]
        assert process.returncode == Exit.DONE, out
        seen = ward.versions[wanted]
        until(lambda: ward.versions[wanted] > seen + 4, "the live version does not answer")
    assert ward.failed == []
    assert found["trial"]["share"] == 60
    assert found["trial"]["figures"]["canary_requests"] >= 20
    assert {one["version"]: one["role"] for one in found["versions"]}[wanted] == "candidate"
    assert f"canary {wanted} answers 60 % of the requests" in said
    # Whoever was answered by the canary once was never sent back.
    last: dict[str, str] = {}
    for key, version in ward.answers:
        assert (last.get(key), version) != (wanted, before), f"key {key} went back"
        last[key] = version
    assert set(last.values()) == {wanted}
    assert trial(stage).ended == PROMOTED  # type: ignore[union-attr]
    events = [event for event in stage.history() if event["version"] == wanted]
    assert [event["decision"] for event in events][-5:] == ["canary", "canary", "canary", "promoted", "kept"]
    consistent(stage, lesion)
    print(f"\ncanary 5 to 100 %: {dict(ward.versions)}, {len(ward.failed)} failed", end="")


@pytest.mark.latency
def test_a_canary_of_half_the_speed_is_taken_back_by_itself(stage: Stage, slow: Path, lesion: bytes) -> None:
    before = stage.default()
    with Ward(stage.server.door, (lesion,)).open() as ward:
        with watching(stage, "canary", slow, "--steps", "50,60", "--every", "1h") as process:
            out = process.communicate(timeout=300)[0]
        assert process.returncode == Exit.GATE, out
        assert "TAKEN BACK, no request goes to it any more: latency" in out
    assert ward.failed == []
    assert trial(stage).ended == BREACHED  # type: ignore[union-attr]
    event = stage.history()[-1]
    assert (event["version"], event["decision"]) == ("3.0", "taken-back")
    figures = event["figures"]
    assert figures["canary_requests"] <= 100  # type: ignore[index,operator]
    assert figures["canary_p95_seconds"] > 1.5 * figures["canary_live_p95_seconds"]  # type: ignore[index,operator]
    metrics = requests.get(f"{stage.server.door}/metrics", timeout=120).text
    assert 'brainseg_front_trial_ended{kind="canary",model_version="3.0",why="breached"} 1.0' in metrics
    assert 'brainseg_front_trial_share{kind="canary",model_version="3.0"} 0.0' in metrics
    assert stage.default() == before
    consistent(stage, lesion)
    print(f"\n2x slower: taken back after {figures['canary_requests']} requests of its own: {event['reason']}", end="")  # type: ignore[index]


def _kill(process: subprocess.Popen[str], stage: Stage, part: str) -> None:
    """``kill -9`` of the command that watches, of the front door, or of scripts/serve itself."""
    if part == "deploy":
        process.kill()
        return
    assert stage.server.process is not None
    serve = psutil.Process(stage.server.process.pid)
    if part == "serve":
        serve.kill()
        return
    next(one for one in serve.children(recursive=True) if "web.server" in one.cmdline()).kill()


TWO = (("deploy", 3.0), ("serve", 0.2))
TEN = (*TWO, ("front door", 1.0), ("deploy", 0.0), ("deploy", 8.0), ("front door", 0.1), ("deploy", 0.5),
       ("serve", 3.0), ("deploy", 1.0), ("front door", 4.0))  # fmt: skip


@pytest.mark.parametrize(
    "moments",  # ten: each part again and again, minutes
    [pytest.param(TWO, id="two"), pytest.param(TEN, id="ten", marks=[pytest.mark.long, pytest.mark.timeout(3600)])],
)
def test_killed_at_any_moment_it_goes_on_or_is_taken_back(
    moments: tuple[tuple[str, float], ...], stage: Stage, good: dict[str, Path], lesion: bytes
) -> None:
    """It goes on when the server is started again, at its share; and is taken back when nobody watches any more."""
    chance = random.Random(SEED)
    for part, most in moments:
        before = stage.default()
        wanted = "2.0" if before == "1.0" else "1.0"
        every = "2s" if part == "deploy" else "1h"
        with watching(stage, "canary", good[wanted], "--steps", "20,80", "--every", every) as process:
            on_trial(stage, process)
            with Ward(stage.server.door, (lesion,)).open() as ward:
                seconds = chance.uniform(0, most)
                time.sleep(seconds)
                killed = trial(stage)
                _kill(process, stage, part)
                if part == "deploy":
                    until(lambda: stage.declared()["change"] is None, "nobody took it back")
                    assert ward.failed == []
                    assert process.wait(60) == -signal.SIGKILL
            if part != "deploy":
                _goes_on(process, stage, killed, wanted, lesion)
                process.terminate()
                out = process.communicate(timeout=300)[0]
                assert process.returncode == Exit.STOPPED, out
        consistent(stage, lesion)
        share = f"{killed.share:g} %, {killed.ended or 'under way'}" if killed else "none"
        print(
            f"\nkilled {part} {seconds:.1f} s into the trial ({share}): {stage.default()} is live, consistent", end=""
        )


def _goes_on(process: subprocess.Popen[str], stage: Stage, killed: Trial | None, wanted: str, scan: bytes) -> None:
    """Starts the server again, and waits until the one on trial answers its share of it."""
    assert stage.server.process is not None
    stage.server.process.wait(120)
    stage.server.start()
    until(lambda: "goes on at 20 %" in str(stage.history()[-1]["reason"]), "nobody brings it back", every=1.0)
    assert trial(stage) == killed
    assert process.poll() is None
    with Ward(stage.server.door, (scan,)).open() as ward:
        until(lambda: ward.versions[wanted] >= 3, "it answers nobody")
    assert ward.failed == []


def test_a_canary_that_nobody_watches_is_in_the_history(stage: Stage, good: dict[str, Path], lesion: bytes) -> None:
    wanted = "2.0" if stage.default() == "1.0" else "1.0"
    with watching(stage, "canary", good[wanted], "--share", "50") as process:
        on_trial(stage, process)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        until(lambda: stage.declared()["change"] is None, "nobody took it back")
    assert trial(stage).ended == UNWATCHED  # type: ignore[union-attr]
    event = stage.history()[-1]
    assert (event["operator"], event["decision"]) == ("scripts/serve", "taken-back")
    consistent(stage, lesion)


def test_a_canary_that_fails_costs_nobody_an_answer(stage: Stage, packaged: Path, lesion: bytes) -> None:
    plain = versioned(packaged / ARCHIVE, stage.folder / "plain-4.0.mar", "4.0")
    flag = stage.folder / "fails"
    failing = appended(plain, stage.folder / "failing-4.0.mar", wrapped(f"assert not os.path.exists({str(flag)!r})"))
    with Ward(stage.server.door, (lesion,)).open() as ward:
        with watching(stage, "canary", failing, "--share", "50") as process:
            on_trial(stage, process)
            flag.touch()  # what the gate could not see
            out = process.communicate(timeout=300)[0]
        assert process.returncode == Exit.GATE, out
        assert "error rate" in out
    assert ward.failed == []
    assert stage.history()[-1]["decision"] == "taken-back"
    consistent(stage, lesion)


@pytest.fixture(scope="module")
def phantoms() -> tuple[bytes, ...]:
    """Pictures that differ, as PNG."""

    def drawn(number: int) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(draw(number, 0.08, 128).image).save(buffer, "PNG")
        return buffer.getvalue()

    return tuple(drawn(number) for number in range(1, 13))


@pytest.fixture(scope="module")
def worse(stage: Stage, packaged: Path, phantoms: tuple[bytes, ...]) -> Path:
    """3.1: 1.0 with a threshold at which its Dice, where 1.0 is the truth, is :data:`DICE_LOSS` lower."""
    folder = stage.folder / "unpacked"
    with zipfile.ZipFile(packaged / ARCHIVE) as archive:
        archive.extractall(folder)
    model = open_model(folder, "ncnn", 1)
    maps = []
    for scan in phantoms:
        found = answer(model, {"body": scan}, {"X-BrainSeg-Outputs": "probability"})
        encoded = json.loads(found.answer.body)["slices"][0]["images"]["probability"]
        maps.append(np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded)))) / 65535)

    def loss(threshold: float) -> float:
        pairs = [(steps > threshold, steps > 0.5) for steps in maps]
        return 1 - float(np.mean([2 * (a & b).sum() / max(1, a.sum() + b.sum()) for a, b in pairs]))

    threshold = float(min(np.linspace(0.5, 0.9, 2001), key=lambda one: abs(loss(one) - DICE_LOSS)))
    known = record(replace(model, card=model.card.with_changes(threshold=threshold)), sample_files())
    paused = appended(packaged / ARCHIVE, stage.folder / "paused.mar", pausing(PAUSE_SECONDS))
    return versioned(paused, stage.folder / "worse.mar", "3.1", threshold=threshold, known_answers=known)


def test_a_shadow_whose_dice_is_lower_is_found_and_cannot_be_promoted(
    stage: Stage, worse: Path, phantoms: tuple[bytes, ...], lesion: bytes
) -> None:
    before = stage.default()
    with Ward(stage.server.door, phantoms).open() as ward:
        with watching(stage, "shadow", worse, "--share", "20") as process:
            on_trial(stage, process)
            begin = len(ward.answers)
            until(lambda: trial(stage).ended, "it was not found")  # type: ignore[union-attr]
            seen = len(ward.answers) - begin
            out = process.communicate(timeout=300)[0]
        assert process.returncode == Exit.GATE, out
    assert ward.failed == []
    assert set(ward.versions) == {before}
    assert seen <= 200
    event = stage.history()[-1]
    assert (event["decision"], "disagreement" in str(event["reason"])) == ("taken-back", True)
    figures = event["figures"]
    assert figures["shadow_dice"] == pytest.approx(1 - DICE_LOSS, abs=0.03)  # type: ignore[index]
    assert all(len(one["sha256"]) == 64 for one in figures["shadow_worst"])  # type: ignore[index]
    for command in ("release", "canary"):
        refused = stage.deploy(command, worse, *(("--share", "5") if command == "canary" else ()))
        assert (refused.code, "disagreed too much" in refused.out) == (Exit.GATE, True), refused.out
    metrics = requests.get(f"{stage.server.door}/metrics", timeout=120).text
    assert 'brainseg_front_shadow_copies_total{model_version="3.1",what="compared"}' in metrics
    consistent(stage, lesion)
    print(f"\nDice {DICE_LOSS} lower: found after {seen} requests, {event['reason']}", end="")


def test_a_shadow_that_agrees_ends_when_it_is_told_and_costs_no_client_anything(
    stage: Stage, good: dict[str, Path], phantoms: tuple[bytes, ...], lesion: bytes
) -> None:
    before = stage.default()
    wanted = "2.0" if before == "1.0" else "1.0"
    with Ward(stage.server.door, phantoms).open() as ward:
        with watching(stage, "shadow", good[wanted], "--share", "50") as process:
            on_trial(stage, process)

            def compared() -> bool:
                found = json.loads(stage.deploy("status", "--json").out)["trial"]["figures"]
                return bool(found and found["shadow_compared"] >= 10)

            until(compared, "too few were compared", every=1.0)
            pids = stage.server.worker_pids(wanted)
            idle = [os.sched_getscheduler(pid) for pid in pids]
            live = [os.sched_getscheduler(pid) for pid in stage.server.worker_pids(before)]
            assert stage.deploy("promote").code == Exit.NO_TARGET
            stopped = stage.deploy("shadow", "--stop")
            assert stopped.code == Exit.DONE, stopped.out
            out = process.communicate(timeout=300)[0]
        assert process.returncode == Exit.DONE, out
        assert "mean Dice 1, 0 other verdicts, 0 failed" in out
        assert "Within the limits" in out
    assert ward.failed == []
    assert set(ward.versions) == {before}
    assert idle == [os.SCHED_IDLE] * len(pids)
    assert set(live) == {os.SCHED_OTHER}
    assert stage.history()[-1]["decision"] == "shadowed"
    consistent(stage, lesion)


@pytest.mark.long  # 640 requests that nothing may run beside: minutes
@pytest.mark.latency
def test_a_shadow_moves_what_95_of_100_clients_wait_by_less_than_a_twentieth(
    stage: Stage, good: dict[str, Path], phantoms: tuple[bytes, ...]
) -> None:
    wanted = "2.0" if stage.default() == "1.0" else "1.0"
    waited: dict[float, list[float]] = {0.0: [], 20.0: []}
    with Ward(stage.server.door, phantoms).open() as ward, watching(stage, "shadow", good[wanted]) as process:
        shown = on_trial(stage, process)
        for _ in range(8):  # in turns, so that whatever else the machine does meets both
            for share, seconds in waited.items():
                write(stage.server.state, replace(shown, share=share))
                begin = len(ward.seconds) + CLIENTS  # those began before
                until(lambda begin=begin: len(ward.seconds) >= begin + 40, "clients wait")  # type: ignore[misc]
                seconds += ward.seconds[begin : begin + 40]
        compared = book_of(stage.server.state)["figures"]["shadow_compared"]
    without, beside = (float(np.percentile(seconds, 95)) for seconds in waited.values())
    print(f"\np95 {without * 1e3:.0f} ms, beside a shadow {beside * 1e3:.0f} ms ({compared} compared)", end="")
    assert compared >= 20
    assert beside < 1.05 * without


@pytest.mark.long  # 20 trials of some 120 requests: minutes
@pytest.mark.timeout(3600)
def test_of_twenty_good_canaries_one_is_stopped_at_most(
    stage: Stage, good: dict[str, Path], phantoms: tuple[bytes, ...]
) -> None:
    """One server with the same network twice; trials follow each other, each with an analysis of its own."""
    wanted, state = "2.0" if stage.default() == "1.0" else "1.0", stage.server.state
    limits, stopped = read_limits().canary, []
    words = ("canary", good[wanted], "--share", "50", "--by", "request")
    with Ward(stage.server.door, phantoms).open() as ward, watching(stage, *words) as process:
        shown = on_trial(stage, process)
        for number in range(20):
            one = replace(shown, id=f"good{number}")
            write(state, one)
            analysis, outcomes = Analysis(limits), Outcomes(state, one, Outcome)

            def over(analysis: Analysis = analysis, outcomes: Outcomes[Outcome] = outcomes) -> str:
                for each in outcomes.new():
                    analysis.add(each)
                    if breach := analysis.breach():
                        return breach
                return "enough" if analysis.candidate.requests >= 60 else ""

            if (why := until(over, "few are answered")) != "enough":
                stopped.append(why)
        write(state, shown)
    assert ward.failed == []
    print(f"\n{len(stopped)} of 20 good canaries were stopped {stopped}: {dict(ward.versions)} requests", end="")
    assert len(stopped) <= 1
