"""``kill -9`` of the deploy command in phases of a rollout: the stack restarts into a consistent state each time,
and the next deploy cleans up. ``./scripts/test --long`` kills at ten moments, in every phase, in three minutes."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from prove.releases import versioned
from prove.server import environment
from rollout.errors import Exit
from tests.rollout.stage import ARCHIVE, Load, Stage, make_hasty_stage
from tests.waiting import until

pytestmark = pytest.mark.server
SEED = 20261123
# Moments: the phase that must have been reached, and how many seconds after that at most. By the clock alone a busy
# machine would meet only the first phases.
ORDER = ("copying", "starting", "gating", "promoting", "watching", "retiring")
# Before, while and after another version becomes the live one.
THREE = (("gating", 3.0), ("promoting", 0.0), ("retiring", 0.5))
TEN = (
    *THREE,
    ("", 0.8),
    ("copying", 0.0),
    ("starting", 4.0),
    ("watching", 2.0),
    ("starting", 0.5),
    ("gating", 0.5),
    ("watching", 0.2),
)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, packaged: Path) -> Iterator[Stage]:
    stage = make_hasty_stage(tmp_path_factory.mktemp("killed"), packaged)
    stage.server.start()
    yield stage
    stage.server.kill()


@pytest.fixture(scope="module")
def archives(stage: Stage) -> dict[str, Path]:
    """Two versions to go between, by name."""
    first = stage.server.store / ARCHIVE
    return {"1.0": first, "2.0": versioned(first, stage.folder / "second.mar", "2.0")}


def _other(stage: Stage) -> str:
    """The version that is not live."""
    return "2.0" if stage.default() == "1.0" else "1.0"


def _phase(stage: Stage) -> str:
    change = stage.declared()["change"] if (stage.server.state / "deployment.json").exists() else None
    return str(change["phase"]) if change else "none"  # type: ignore[index]


def _killed(stage: Stage, archive: Path, reached: str, seconds: float) -> str:
    """Starts a deploy and kills it ``seconds`` after the phase ``reached`` or a later one began; the phase it was
    in."""
    process = subprocess.Popen(
        stage.command(archive), stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, env=environment()
    )
    later = ORDER[ORDER.index(reached) :] if reached else (*ORDER, "none")
    while process.poll() is None and _phase(stage) not in later:
        time.sleep(0.002)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    if process.poll() is None:
        os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return _phase(stage) if process.returncode == -signal.SIGKILL else f"done ({process.returncode})"


def _check_consistent(stage: Stage, lesion: bytes) -> None:
    """What TorchServe serves is what is declared, from archives that are there, and the front door says the same."""
    declared = stage.declared()
    live, served = declared["live"], declared["served"]
    assert stage.default() == live["version"]  # type: ignore[index]
    assert stage.served() == sorted(one["version"] for one in [live, *served])  # type: ignore[misc,index]
    reply = stage.server.post(lesion)
    assert reply.status_code == 200
    assert reply.json()["model"]["version"] == live["version"]  # type: ignore[index]
    models = requests.get(f"{stage.server.door}/api/v1/models", timeout=120).json()
    assert models["default"] == live["version"]  # type: ignore[index]
    roles = {one["version"]: one["role"] for one in models["versions"]}
    assert [version for version, role in roles.items() if role == "live"] == [live["version"]]  # type: ignore[index]
    assert all(one["since"] for one in models["versions"])


@pytest.mark.parametrize(
    "moments",
    [
        pytest.param(THREE, id="at three moments"),
        # Each phase, some twice: three minutes, more than ten on a busy machine.
        pytest.param(TEN, id="in each phase", marks=[pytest.mark.long, pytest.mark.timeout(3600)]),
    ],
)
def test_killed_the_stack_restarts_consistently(
    moments: tuple[tuple[str, float], ...], stage: Stage, archives: dict[str, Path], lesion: bytes
) -> None:
    first = stage.deploy(archives[_other(stage)])
    assert first.code == Exit.DONE, first.out
    chance = random.Random(SEED)
    phases: Counter[str] = Counter()
    for reached, most in moments:
        seconds = chance.uniform(0, most)
        wanted, before = _other(stage), stage.default()
        phase = _killed(stage, archives[wanted], reached, seconds)
        phases[phase] += 1
        assert stage.server.stop() == 0
        begin = time.monotonic()
        stage.server.start()
        _check_consistent(stage, lesion)
        print(
            f"\nkilled {seconds:.2f} s after {reached or 'the start'}, {wanted} over {before}, in phase {phase}: "
            f"restarted in {time.monotonic() - begin:.1f} s with {stage.default()} live, {stage.served()} served",
            end="",
            flush=True,
        )
    print(f"\n{dict(phases)}", flush=True)
    assert len(phases) >= min(4, len(moments) - 1)  # a moment may meet the phase behind it
    after = stage.deploy(archives[_other(stage)])
    assert after.code == Exit.DONE, after.out
    _check_consistent(stage, lesion)
    declared = stage.declared()
    known = [declared["live"], *declared["served"], *declared["previous"]]  # type: ignore[misc]
    assert stage.archives() == {one["archive"] for one in known}  # type: ignore[index]
    assert not list(stage.server.store.glob(".brainseg*"))
    assert all(json.dumps(event) for event in stage.history())


def test_killed_and_not_restarted_the_next_deploy_cleans_up_under_load(
    stage: Stage, archives: dict[str, Path], lesion: bytes
) -> None:
    wanted = _other(stage)
    before = stage.default()
    # A prediction through the front door proves the live version to it: then only the candidate could make it unready.
    assert requests.post(f"{stage.server.door}/api/v1/segment", data=lesion, timeout=120).ok
    with Load(stage.server, lesion) as load:
        process = subprocess.Popen(stage.command(archives[wanted]), stdout=subprocess.DEVNULL, env=environment())
        until(lambda: _phase(stage) == "gating", "it was not gated")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        roles = {
            one["version"]: one["role"]
            for one in requests.get(f"{stage.server.door}/api/v1/models", timeout=120).json()["versions"]
        }
        assert roles == {before: "live", wanted: "candidate"}
        assert requests.get(f"{stage.server.door}/readyz", timeout=120).ok
        text = requests.get(f"{stage.server.door}/metrics", timeout=120).text
        assert f'brainseg_front_version_since_seconds{{model_version="{wanted}",role="candidate"}}' in text
        done = stage.deploy(archives[wanted])
    print(f"\nkilled while gating, then deployed again: exit {done.code} after {done.seconds:.1f} s; load: {load}")
    assert done.code == Exit.DONE, done.out
    assert "ended in phase gating" in done.out
    assert load.failed == []
    assert (stage.default(), stage.served()) == (wanted, [wanted])
    assert "interrupted" in [event["decision"] for event in stage.history()]


def test_a_version_whose_watch_was_killed_is_taken_back_by_the_server(
    stage: Stage, archives: dict[str, Path], lesion: bytes
) -> None:
    wanted, before = _other(stage), stage.default()
    with Load(stage.server, lesion) as load:
        assert _killed(stage, archives[wanted], "watching", 0.2) == "watching"
        left = stage.deploy("status").out
        until(lambda: stage.default() == before and not stage.declared()["change"], f"{wanted} was not taken back")
    assert "nobody watches it, and the server takes it back" in left
    assert load.failed == []
    assert f"version {wanted} is taken back: nobody watched it" in stage.server.output.read_text()
    event = stage.history()[-1]
    assert (event["version"], event["decision"], event["operator"]) == (wanted, "rolled-back", "scripts/serve")
    assert stage.served() == [before]
    assert {row["role"] for row in json.loads(stage.deploy("status", "--json").out)["versions"]} <= {"live", "previous"}
