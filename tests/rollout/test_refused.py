"""What a deploy refuses, and what stops it, under a constant load of four clients, with a real TorchServe. None of it
is a matter of speed (that is in test_rollout.py), so other tests may run beside it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from archive.inputs import sample_files
from archive.known import record
from handler.pipeline import open_model
from prove.releases import versioned
from prove.server import Server, environment
from rollout.errors import Exit
from rollout.folder import mark
from rollout.state import Deployed, Deployment, write_deployment
from tests.rollout.conftest import DICE_LOSS
from tests.rollout.stage import Load, Stage, appended, make_hasty_stage, repack, report, sha256, untouched
from tests.waiting import BOUND_SECONDS, until

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, packaged: Path) -> Iterator[Stage]:
    stage = make_hasty_stage(tmp_path_factory.mktemp("refused"), packaged)
    stage.server.start()
    yield stage
    stage.server.kill()


def test_a_damaged_archive_is_refused(stage: Stage, plain: Path, lesion: bytes) -> None:
    content = bytearray(plain.read_bytes())
    content[len(content) // 2] ^= 0xFF
    damaged = stage.folder / "damaged.mar"
    damaged.write_bytes(bytes(content))
    with Load(stage.server, lesion) as load:
        done = stage.deploy(damaged)
    report("damaged archive", done, load)
    assert done.code == Exit.ARCHIVE
    assert "damaged" in done.out
    untouched(stage, load)
    assert stage.archives() == set()


def test_weights_that_do_not_match_their_card_are_refused(stage: Stage, plain: Path, lesion: bytes) -> None:
    swapped = repack(plain, stage.folder / "swapped.mar", {"weights.safetensors": lambda b: b[:-1] + b"\x01"})
    with Load(stage.server, lesion) as load:
        done = stage.deploy(swapped)
    report("weights that are not the card's", done, load)
    assert done.code == Exit.ARCHIVE
    assert "its model card says" in done.out
    untouched(stage, load)
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
    untouched(stage, load)
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
    report(f"Dice {DICE_LOSS} lower", done, load)
    assert done.code == Exit.GATE
    assert "Dice loss" in done.out
    event = stage.history()[-1]
    assert event["decision"] == "refused"
    assert event["operator"] == "tester"
    assert event["sha256"] == sha256(worse)
    figures = event["figures"]
    assert figures["live_dice"] == pytest.approx(1)  # type: ignore[index]
    assert figures["dice"] == pytest.approx(1 - DICE_LOSS, abs=0.01)  # type: ignore[index]
    untouched(stage, load)


def test_a_version_that_crashes_at_start_is_refused(stage: Stage, plain: Path, lesion: bytes) -> None:
    crashing = appended(plain, stage.folder / "crash-2.0.mar", b'\nraise RuntimeError("a library is missing here")\n')
    crashing = versioned(crashing, stage.folder / "crash.mar", "2.3")
    with Load(stage.server, lesion) as load:
        done = stage.deploy(crashing)
    report("crashes at start", done, load)
    assert done.code == Exit.START
    assert "a library is missing here" in done.out
    assert stage.history()[-1]["decision"] == "refused"
    untouched(stage, load)


def test_rollback_stops_a_deploy_at_work(stage: Stage, good: Path, lesion: bytes) -> None:
    """While it is gated: the candidate is withdrawn. While it is watched: it is taken back, within moments."""
    limits = stage.limits.read_text()
    stage.limits.write_text(
        limits.replace("samples: 5", "samples: 2000").replace("watch: {seconds: 2", "watch: {seconds: 90")
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
            stage.limits.write_text(limits.replace("watch: {seconds: 2", "watch: {seconds: 90"))
            second = subprocess.Popen(stage.command(good), stdout=subprocess.PIPE, text=True, env=environment())
            _wait_for_phase(stage, "watching")
            back = stage.deploy("rollback")
            second.wait(120)
    finally:
        stage.limits.write_text(limits)
    report("rollback while gated", withdrawn, load)
    report("rollback while watched", back, load)
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
