"""Releases good and bad under a constant load of four clients, with a real TorchServe. Each prints its numbers (-s)."""

from __future__ import annotations

import base64
import io
import json
import shutil
import subprocess
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from archive.inputs import sample_files
from archive.known import record
from handler.pipeline import answer, open_model
from rollout.errors import Exit
from rollout.folder import mark
from rollout.state import Deployed, Deployment, write_deployment
from samples.phantom import draw
from tests.rollout.stage import (
    ARCHIVE,
    PAUSE_SECONDS,
    Load,
    Outcome,
    Stage,
    appended,
    make_stage,
    pausing,
    repack,
    sha256,
    versioned,
    wrapped,
)
from tests.server import Server, environment
from tests.waiting import BOUND_SECONDS, until

pytestmark = [pytest.mark.server, pytest.mark.latency]
DICE_LOSS = 0.05


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, packaged: Path) -> Iterator[Stage]:
    stage = make_stage(tmp_path_factory.mktemp("rollout"), packaged)
    stage.server.start()
    yield stage
    stage.server.kill()


@pytest.fixture(scope="module")
def plain(stage: Stage, packaged: Path) -> Path:
    """2.0: the weights of 1.0 under another number."""
    return versioned(packaged / ARCHIVE, stage.folder / "plain-2.0.mar", "2.0")


@pytest.fixture(scope="module")
def good(stage: Stage, plain: Path) -> Path:
    return appended(plain, stage.folder / "good-2.0.mar", pausing(PAUSE_SECONDS))


def _probability(folder: Path, scan: bytes) -> np.ndarray:
    """The probability map (h, w) in 65535ths that the release in ``folder`` answers with."""
    model = open_model(folder, "auto", 1)
    outcome = answer(model, {"body": scan}, {"X-BrainSeg-Outputs": "probability"})
    encoded = json.loads(outcome.answer.body)["slices"][0]["images"]["probability"]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded)))).astype(int)


@pytest.fixture(scope="module")
def unpacked(packaged: Path) -> Path:
    """What a worker has before it: weights, engine files and card."""
    folder = packaged / "unpacked"
    with zipfile.ZipFile(packaged / ARCHIVE) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def scans(stage: Stage, unpacked: Path) -> tuple[Path, float]:
    """Labelled phantoms whose truth is what 1.0 says, so its Dice is 1; and a threshold with which the same network's
    Dice is :data:`DICE_LOSS` lower."""
    folder, maps = stage.folder / "scans", []
    (folder / "CASE_1").mkdir(parents=True)
    for number in range(1, 7):
        image = draw(number, 0.08, 128).image
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, image, photometric="rgb")
        steps = _probability(unpacked, buffer.getvalue())
        (folder / "CASE_1" / f"CASE_1_{number}.tif").write_bytes(buffer.getvalue())
        mask = (steps > 0.5 * 65535).astype(np.uint8) * 255
        assert np.count_nonzero(mask) > 0
        tifffile.imwrite(folder / "CASE_1" / f"CASE_1_{number}_mask.tif", mask)
        maps.append((steps, mask > 0))

    def dice(threshold: float) -> float:
        pairs = [(steps > threshold * 65535, truth) for steps, truth in maps]
        return float(np.mean([2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in pairs]))

    return folder, min(np.linspace(0.5, 0.9, 20001), key=lambda t: abs(dice(t) - (1 - DICE_LOSS)))


def _untouched(stage: Stage, load: Load) -> None:
    """1.0 was live all the time, answered everybody, and nothing of the candidate is left."""
    assert load.failed == []
    assert set(load.versions) == {"1.0"}
    assert (stage.served(), stage.default()) == (["1.0"], "1.0")
    assert {name.rsplit("-", 1)[0] for name in stage.archives()} <= {"brainseg-1.0"}


def _report(title: str, done: Outcome, load: Load) -> None:
    lines = [
        line
        for line in done.out.splitlines()
        if any(word in line for word in ("· gate", "deploy:", "· ROLL", "· watched"))
    ]
    print(f"\n{title}: exit {done.code} after {done.seconds:.1f} s; load: {load}")
    print("\n".join(f"    {line}" for line in lines), flush=True)


def test_a_damaged_archive_is_refused(stage: Stage, plain: Path, lesion: bytes) -> None:
    content = bytearray(plain.read_bytes())
    content[len(content) // 2] ^= 0xFF
    damaged = stage.folder / "damaged.mar"
    damaged.write_bytes(bytes(content))
    with Load(stage.server, lesion) as load:
        done = stage.deploy(damaged)
    _report("damaged archive", done, load)
    assert done.code == Exit.ARCHIVE
    assert "damaged" in done.out
    _untouched(stage, load)
    assert stage.archives() == set()


def test_weights_that_do_not_match_their_card_are_refused(stage: Stage, plain: Path, lesion: bytes) -> None:
    swapped = repack(plain, stage.folder / "swapped.mar", {"weights.safetensors": lambda b: b[:-1] + b"\x01"})
    with Load(stage.server, lesion) as load:
        done = stage.deploy(swapped)
    _report("weights that are not the card's", done, load)
    assert done.code == Exit.ARCHIVE
    assert "its model card says" in done.out
    _untouched(stage, load)
    assert stage.archives() == set()


def test_a_dry_run_changes_nothing(stage: Stage, good: Path, scans: tuple[Path, float]) -> None:
    done = stage.deploy(good, "--dry-run", "--scans", scans[0])
    assert done.code == Exit.DONE, done.out
    assert "nothing was changed" in done.out
    assert stage.served() == ["1.0"]
    assert stage.archives() == set()
    assert not (stage.server.state / "deployment.json").exists()
    assert stage.history() == []


def test_a_disk_that_fills_while_the_archive_is_copied_leaves_nothing(stage: Stage, good: Path, lesion: bytes) -> None:
    """There was room when it was looked at. As the kernel's bound on the size of files has it, at half of the archive;
    what is written down is small enough."""
    half = good.stat().st_size // 2
    assert half > 2**16
    with Load(stage.server, lesion) as load:
        done = subprocess.run(
            ["prlimit", f"--fsize={half}", *stage.command(good)],
            capture_output=True,
            text=True,
            timeout=BOUND_SECONDS,
            check=False,
            env=environment(),
        )
    said = done.stdout + done.stderr
    assert done.returncode == Exit.START, said
    assert "Traceback" not in said
    assert "could not be copied into the model store: [Errno 27]" in said
    assert "version 2.0 is removed; 1.0 stays live" in said
    _untouched(stage, load)
    assert not list(stage.server.store.glob(".brainseg*"))
    assert stage.declared()["change"] is None
    assert stage.history()[-1]["decision"] == "refused"


def test_a_dice_that_is_lower_is_refused(
    stage: Stage, good: Path, unpacked: Path, scans: tuple[Path, float], lesion: bytes
) -> None:
    threshold = float(scans[1])
    model = open_model(unpacked, "auto", 1)
    model = replace(model, card=model.card.with_changes(threshold=threshold))
    known = record(model, sample_files())  # as packaging it with that threshold would
    worse = versioned(good, stage.folder / "worse.mar", "2.1", threshold=threshold, known_answers=known)
    with Load(stage.server, lesion) as load:
        done = stage.deploy(worse, "--scans", scans[0])
    _report(f"Dice {DICE_LOSS} lower", done, load)
    assert done.code == Exit.GATE
    assert "Dice loss" in done.out
    event = stage.history()[-1]
    assert event["decision"] == "refused"
    assert event["operator"] == "tester"
    assert event["sha256"] == sha256(worse)
    figures = event["figures"]
    assert figures["live_dice"] == pytest.approx(1)  # type: ignore[index]
    assert figures["dice"] == pytest.approx(1 - DICE_LOSS, abs=0.01)  # type: ignore[index]
    _untouched(stage, load)


def test_a_version_twice_as_slow_is_refused(stage: Stage, plain: Path, lesion: bytes) -> None:
    slow = appended(plain, stage.folder / "slow-2.0.mar", pausing(2 * PAUSE_SECONDS))
    slow = versioned(slow, stage.folder / "slow.mar", "2.2")
    with Load(stage.server, lesion) as load:
        done = stage.deploy(slow)
    _report("twice as slow", done, load)
    assert done.code == Exit.GATE
    assert "times the live version's is above" in done.out
    _untouched(stage, load)


def test_a_version_that_crashes_at_start_is_refused(stage: Stage, plain: Path, lesion: bytes) -> None:
    crashing = appended(plain, stage.folder / "crash-2.0.mar", b'\nraise RuntimeError("a library is missing here")\n')
    crashing = versioned(crashing, stage.folder / "crash.mar", "2.3")
    with Load(stage.server, lesion) as load:
        done = stage.deploy(crashing)
    _report("crashes at start", done, load)
    assert done.code == Exit.START
    assert "a library is missing here" in done.out
    assert stage.history()[-1]["decision"] == "refused"
    _untouched(stage, load)


def test_a_good_version_is_promoted_and_rolled_back_without_a_lost_request(
    stage: Stage, good: Path, scans: tuple[Path, float], lesion: bytes
) -> None:
    with Load(stage.server, lesion) as load:
        done = stage.deploy(good, "--scans", scans[0])
    _report("a good 2.0", done, load)
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
    _report("rollback to a version that was retired", back, load)
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
    _report("starts to fail", Outcome(deploy.returncode, out, time.monotonic() - begin), load)
    print(
        f"    1.0 answered again {healed:.1f} s after the first failure, {len(load.failed)} requests failed until then"
    )
    assert deploy.returncode == Exit.ROLLED_BACK, out
    assert all("500" in fault for _, fault in load.failed)
    assert (stage.served(), stage.default()) == (["1.0"], "1.0")
    assert stage.history()[-1]["decision"] == "rolled-back"
    assert healed < 10


def test_rollback_stops_a_deploy_at_work(stage: Stage, good: Path, lesion: bytes) -> None:
    """While it is gated: the candidate is withdrawn. While it is watched: it is taken back, within moments."""
    limits = stage.limits.read_text()
    stage.limits.write_text(
        limits.replace("samples: 8", "samples: 80").replace("watch: {seconds: 4", "watch: {seconds: 90")
    )
    try:
        with Load(stage.server, lesion) as load:
            deploy = subprocess.Popen(stage.command(good), stdout=subprocess.PIPE, text=True, env=environment())
            _wait_for_phase(stage, "gating")
            busy = stage.deploy(good)
            assert busy.code == Exit.BUSY
            assert f"process {deploy.pid}" in busy.out
            withdrawn = stage.deploy("rollback")
            deploy.wait(120)
            stage.limits.write_text(limits.replace("watch: {seconds: 4", "watch: {seconds: 90"))
            second = subprocess.Popen(stage.command(good), stdout=subprocess.PIPE, text=True, env=environment())
            _wait_for_phase(stage, "watching")
            back = stage.deploy("rollback")
            second.wait(120)
    finally:
        stage.limits.write_text(limits)
    _report("rollback while gated", withdrawn, load)
    _report("rollback while watched", back, load)
    assert (withdrawn.code, deploy.returncode) == (Exit.DONE, Exit.STOPPED)
    assert "withdrawn" in withdrawn.out
    assert (back.code, second.returncode) == (Exit.DONE, Exit.STOPPED), back.out
    assert load.failed == []
    assert (stage.served(), stage.default()) == (["1.0"], "1.0")


def _wait_for_phase(stage: Stage, phase: str) -> None:
    until(lambda: (stage.declared()["change"] or {}).get("phase") == phase, f"phase {phase} did not come")  # type: ignore[attr-defined]


def test_what_another_server_on_the_same_store_needs_stays(stage: Stage, good: Path) -> None:
    done = stage.deploy(good)
    assert done.code == Exit.DONE, done.out
    first = stage.declared()["previous"][-1]  # type: ignore[index]
    other = Server(stage.server.store, stage.folder / "other")
    other.state.mkdir()
    mark(other.state)
    write_deployment(other.state, Deployment(Deployed(**first)))
    try:
        other.start()
        assert other.stop() == 0
        retired = stage.deploy("retire", "1.0")
        assert retired.code == Exit.DONE, retired.out
        assert len(stage.archives()) == 2
        other.start()
        assert [entry["modelVersion"] for entry in other.describe()] == ["1.0"]
    finally:
        other.kill()
    shutil.rmtree(other.state)
