"""Releases judged by their speed, under a constant load of four clients, with a real TorchServe. Each prints its
numbers (-s)."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from prove.releases import versioned
from prove.server import environment
from rollout.errors import Exit
from tests.rollout.stage import (
    PAUSE_SECONDS,
    Load,
    Outcome,
    Stage,
    appended,
    make_stage,
    pausing,
    report,
    untouched,
    wrapped,
)
from tests.waiting import BOUND_SECONDS, until

pytestmark = [pytest.mark.server, pytest.mark.latency]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, packaged: Path) -> Iterator[Stage]:
    stage = make_stage(tmp_path_factory.mktemp("rollout"), packaged)
    stage.server.start()
    yield stage
    stage.server.kill()


def test_a_version_twice_as_slow_is_refused(stage: Stage, plain: Path, lesion: bytes) -> None:
    slow = appended(plain, stage.folder / "slow-2.0.mar", pausing(2 * PAUSE_SECONDS))
    slow = versioned(slow, stage.folder / "slow.mar", "2.2")
    with Load(stage.server, lesion) as load:
        done = stage.deploy(slow)
    report("twice as slow", done, load)
    assert done.code == Exit.GATE
    assert "times the live version's is above" in done.out
    untouched(stage, load)


def test_a_good_version_is_promoted_and_rolled_back_without_a_lost_request(
    stage: Stage, good: Path, scans: tuple[Path, float], lesion: bytes
) -> None:
    with Load(stage.server, lesion) as load:
        done = stage.deploy(good, "--scans", scans[0])
    report("a good 2.0", done, load)
    assert done.code == Exit.DONE, done.out
    assert load.failed == []
    assert load.versions["1.0"] > 0
    assert load.versions["2.0"] > 0
    assert (stage.served(), stage.default()) == (["2.0"], "2.0")
    decisions = [event["decision"] for event in stage.history()]
    assert decisions[-3:] == ["promoted", "kept", "retired"]
    status = json.loads(stage.deploy("status", "--json").out)
    assert {row["version"]: row["role"] for row in status["versions"]} == {"2.0": "live", "1.0": "previous"}

    again = stage.deploy(good)
    assert again.code == Exit.ARCHIVE
    assert "live already" in again.out

    with Load(stage.server, lesion) as load:
        until(lambda: load.versions["2.0"], "2.0 did not answer")
        back = stage.deploy("rollback")
        until(lambda: load.order[-1:] == ["1.0"], "1.0 did not answer")
    report("rollback to a version that was retired", back, load)
    assert back.code == Exit.DONE, back.out
    assert load.failed == []
    assert load.versions["1.0"] > 0
    assert (stage.served(), stage.default()) == (["1.0"], "1.0")
    assert stage.history()[-1]["decision"] == "rolled-back"
    nothing = stage.deploy("rollback")
    assert nothing.code == Exit.NO_TARGET
    assert "no version before 1.0" in nothing.out


def test_a_version_that_starts_to_fail_is_rolled_back_by_itself(stage: Stage, plain: Path, lesion: bytes) -> None:
    flag = stage.folder / "fail-now"
    body = (
        f"time.sleep({PAUSE_SECONDS})\n    if os.path.exists({str(flag)!r}):\n        raise ValueError('out of luck')"
    )
    failing = appended(plain, stage.folder / "failing-2.0.mar", wrapped(body))
    failing = versioned(failing, stage.folder / "failing.mar", "2.4")
    limits = stage.limits.read_text()
    stage.limits.write_text(limits.replace("watch: {seconds: 4", "watch: {seconds: 60"))
    try:
        with Load(stage.server, lesion) as load:
            deploy = subprocess.Popen(
                stage.command(failing), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment()
            )
            begin = time.monotonic()
            while load.versions["2.4"] < 20:
                assert deploy.poll() is None, deploy.communicate()[0]
                time.sleep(0.1)
            flag.write_text("")
            failing_since, answered = time.monotonic(), len(load.order)
            while "1.0" not in load.order[answered:]:
                assert time.monotonic() - failing_since < BOUND_SECONDS
                time.sleep(0.02)
            healed = time.monotonic() - failing_since
            out = deploy.communicate(timeout=120)[0]
    finally:
        stage.limits.write_text(limits)
    report("starts to fail", Outcome(deploy.returncode, out, time.monotonic() - begin), load)
    print(
        f"    1.0 answered again {healed:.1f} s after the first failure, {len(load.failed)} requests failed until then"
    )
    assert deploy.returncode == Exit.ROLLED_BACK, out
    assert all("500" in fault for _, fault in load.failed)
    assert (stage.served(), stage.default()) == (["1.0"], "1.0")
    assert stage.history()[-1]["decision"] == "rolled-back"
    assert healed < 10
