"""What is written down: deployment, history, lock, limits."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from archive.store import ROOT
from archive.verify import read_release
from rollout import history, rollback
from rollout.errors import BusyError, NoTargetError, RolloutError, StartError, UsageError
from rollout.history import Event
from rollout.limits import read_limits
from rollout.lock import LOCK_FILE, ask_to_stop, locked
from rollout.promote import promoted, rolled_back
from rollout.register import check_disks
from rollout.rollback import roll_back_stopped_server
from rollout.server import TorchServe, _parse
from rollout.show import Screen, print_status, status_of
from rollout.site import Site
from rollout.state import (
    DEPLOYMENT_FILE,
    Deployed,
    Deployment,
    Phase,
    check_archives,
    read_deployment,
    write_deployment,
)
from rollout.watch import Seen
from scripts.commands import deploy
from tests.disks import small_disk
from tests.rollout.stage import ARCHIVE, LIMITS


def deployed(version: str) -> Deployed:
    return Deployed(version, f"brainseg-{version}.mar", f"sha256:{version}", "2026-01-01T00:00:00+00:00")


def test_a_deployment_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_deployment(tmp_path) is None
    whole = Deployment(deployed("2.0"), (deployed("1.0"),), (deployed("0.9"), deployed("1.0")))
    for deployment in (whole, whole.in_phase(Phase.GATING, deployed("3.0"), "ann")):
        write_deployment(tmp_path, deployment)
        assert read_deployment(tmp_path) == deployment


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2}', '{"format": 1, "live": 3}'])
def test_a_file_that_is_no_deployment_is_explained(text: str, tmp_path: Path) -> None:
    (tmp_path / DEPLOYMENT_FILE).write_text(text)
    with pytest.raises(RolloutError, match=r"deployment\.json") as told:
        read_deployment(tmp_path)
    assert f"rm {tmp_path / DEPLOYMENT_FILE}" in str(told.value)


def test_promotion_and_rollback_are_each_others_inverse() -> None:
    first = Deployment(deployed("1.0"))
    second = promoted(first, deployed("2.0"))
    assert (second.live.version, [one.version for one in second.served]) == ("2.0", ["1.0"])
    third = promoted(second, deployed("3.0"))
    assert [one.version for one in third.previous] == ["1.0", "2.0"]
    back = rolled_back(third)
    assert (back.live.version, [one.version for one in back.served]) == ("2.0", ["1.0"])
    assert rolled_back(back).live.version == "1.0"
    with pytest.raises(NoTargetError, match="no version before"):
        rolled_back(rolled_back(back))


def test_going_forth_and_back_leaves_no_doubles() -> None:
    deployment = Deployment(deployed("1.0"))
    for version in ("2.0", "1.0", "2.0"):
        deployment = promoted(deployment, deployed(version))
        names = [one.version for one in deployment.previous]
        assert len(names) == len(set(names))
        assert version not in names
        assert version not in [one.version for one in deployment.served]


def test_a_changed_or_lost_archive_is_named(tmp_path: Path) -> None:
    from handler.files import sha256_of

    archive = tmp_path / "brainseg-1.0.mar"
    archive.write_bytes(b"one")
    live = Deployed("1.0", archive.name, sha256_of(archive), "")
    check_archives(Deployment(live), tmp_path, tmp_path)
    archive.write_bytes(b"two")
    with pytest.raises(RolloutError, match="deployed was"):
        check_archives(Deployment(live), tmp_path, tmp_path)
    archive.unlink()
    with pytest.raises(RolloutError, match="is gone"):
        check_archives(Deployment(live), tmp_path, tmp_path)


def test_the_history_survives_a_line_cut_short(tmp_path: Path) -> None:
    first = Event("ann", "2.0", "sha256:2", "promoted", "passed", "1.0", {"dice": 0.8})
    history.append(tmp_path, first)
    with (tmp_path / history.HISTORY_FILE).open("a") as file:
        file.write('{"operator": "ann", "ver')
    second = Event("bob", "2.0", "sha256:2", "rolled-back", "slow", "2.0")
    history.append(tmp_path, second)
    assert history.read(tmp_path) == [first, second]


def test_one_deploy_at_a_time(tmp_path: Path) -> None:
    with locked(tmp_path):
        code = "from pathlib import Path\nfrom rollout.lock import locked\n"
        code += f"with locked(Path({str(tmp_path)!r})): pass"
        other = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
        assert "BusyError" in other.stderr
        assert f"process {os.getpid()}" in other.stderr
    with locked(tmp_path):
        pass
    assert not ask_to_stop(tmp_path, 1)


def test_who_does_not_stop_is_named(tmp_path: Path) -> None:
    with locked(tmp_path):
        (tmp_path / LOCK_FILE).write_text("")  # as in the moment before the holder has written its number
        with pytest.raises(BusyError, match="did not within 0 s"):
            ask_to_stop(tmp_path, 0.2)


def test_rollback_without_a_server_changes_what_is_declared(tmp_path: Path) -> None:
    with pytest.raises(NoTargetError, match="nothing was ever deployed"):
        roll_back_stopped_server(tmp_path, "ann")
    write_deployment(tmp_path, promoted(Deployment(deployed("1.0")), deployed("2.0")))
    assert "brings 1.0 instead of 2.0" in roll_back_stopped_server(tmp_path, "ann")
    found = read_deployment(tmp_path)
    assert found is not None
    assert (found.live.version, found.served, found.change) == ("1.0", (), None)
    assert [(event.operator, event.decision) for event in history.read(tmp_path)] == [("ann", "rolled-back")]


def test_rollback_without_a_server_ends_a_trial_that_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = promoted(Deployment(deployed("1.0")), deployed("2.0"))
    write_deployment(tmp_path, before.in_phase(Phase.CANARY, deployed("3.0"), "ann"))

    def stop(state: Path, _seconds: float) -> bool:
        write_deployment(state, before)  # as who is asked to stop does
        return True

    monkeypatch.setattr(rollback, "ask_to_stop", stop)
    assert roll_back_stopped_server(tmp_path, "ann") == "version 3.0 is withdrawn; 2.0 stays live"
    assert read_deployment(tmp_path) == before


def test_status_without_a_server(tmp_path: Path) -> None:
    gating = promoted(Deployment(deployed("1.0")), deployed("2.0")).in_phase(Phase.GATING, deployed("3.0"), "ann")
    write_deployment(tmp_path, gating)
    status = status_of(tmp_path)
    assert not status["running"]
    assert {row["version"]: row["role"] for row in status["versions"]} == {
        "2.0": "live",
        "1.0": "served",
        "3.0": "candidate",
    }


def test_what_was_written_before_phases_had_a_time_is_read(tmp_path: Path) -> None:
    write_deployment(tmp_path, Deployment(deployed("1.0")).in_phase(Phase.GATING, deployed("2.0"), "ann"))
    raw = json.loads((tmp_path / DEPLOYMENT_FILE).read_text())
    assert raw["change"].pop("entered")
    (tmp_path / DEPLOYMENT_FILE).write_text(json.dumps(raw))
    console = Console(record=True, width=200)
    print_status(console, status_of(tmp_path))
    assert "2.0 gating, by ann, since 20" in console.export_text()


def test_a_watch_says_a_line_each_half_minute() -> None:
    said: list[str] = []
    screen = Screen(Console(quiet=True), 100, said.append)
    for seconds in range(0, 101, 2):
        screen.watching(Seen(seconds=seconds, requests=seconds, p95_seconds=0.25))
    screen.close()
    assert [line.split(":")[0] for line in said] == [f"watching {at} of 100 s" for at in (30, 60, 90)]
    assert said[0] == "watching 30 of 100 s: 0 of 30 requests failed, p95 250 ms"


def test_lines_have_the_time_and_quiet_leaves_them_out(
    packaged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Up to where there is no server: what was said until then, and the error, which is always said."""
    said = {}
    for option in ("", "--quiet"):
        with pytest.raises(SystemExit):
            deploy.run([str(packaged / ARCHIVE), "--state", str(tmp_path), *option.split()])
        said[option] = capsys.readouterr().out.splitlines()
    assert re.match(r"\d\d:\d\d:\d\dZ · brainseg-1\.0\.mar: version 1\.0", said[""][0])
    assert said["--quiet"] == said[""][1:] != []


def test_the_limits_of_the_repository_and_those_of_the_tests_are_whole(tmp_path: Path) -> None:
    assert read_limits().watch.seconds > 60
    path = tmp_path / "limits.yaml"
    path.write_text(LIMITS)
    read_limits(path)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("keep_previous: 3", "keep_previous: 0", "1 or more"),
        ("median_ratio: 1.4", "median_ratio: -1.4", "median_ratio: got -1.4, expected a number above 0"),
        ("dice_drop: 0.02", "dice_drop: .nan", "dice_drop: got nan, expected a finite number"),
        ("dice_floor: 0.5", "dice_floor: 50", "from 0 to 1"),
        ("required", "requires", "unknown"),
        ("samples: 8, ", "", "missing"),
    ],
)
def test_wrong_limits_are_named(old: str, new: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "limits.yaml"
    path.write_text(LIMITS.replace(old, new))
    with pytest.raises(UsageError, match=reason):
        read_limits(path)


def test_a_live_archive_that_there_is_no_room_to_keep_leaves_no_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise OSError("as on a file system without hard links")

    monkeypatch.setattr(Path, "hardlink_to", no_links)
    served = {"1.0": SimpleNamespace(archive="brainseg-1.0.mar", since="")}
    with small_disk(1) as disk:
        (disk / "brainseg-1.0.mar").write_bytes(bytes(700_000))
        server = SimpleNamespace(state=tmp_path, store=disk, default=lambda: "1.0", versions=lambda: served)
        site = Site(server, read_limits(), "ann", print)  # type: ignore[arg-type]
        with pytest.raises(StartError, match=r"could not be kept .*No space left.* Nothing was changed"):
            site.deployment()
        assert [path.name for path in disk.glob("*.mar")] == ["brainseg-1.0.mar"]
        assert not list(disk.glob(".brainseg*"))
    assert read_deployment(tmp_path) is None


def test_a_deploy_onto_a_full_disk_is_refused_before_anything_is_written(packaged: Path, tmp_path: Path) -> None:
    release = read_release(packaged / ARCHIVE)
    with small_disk(1) as disk:
        for store, state in ((disk, tmp_path), (tmp_path, disk)):
            with pytest.raises(StartError, match=rf"{disk} has .* MiB free; .* needs"):
                check_disks(release, store, state)
        assert list(disk.iterdir()) == []
    check_disks(release, tmp_path, tmp_path)


def test_a_candidate_works_on_as_many_at_once_as_the_live_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would be registered as its archive says, and judged slower than it will be."""
    asked: list[dict[str, str]] = []
    server = object.__new__(TorchServe)
    server._management = "http://127.0.0.1:1"
    monkeypatch.setattr(
        TorchServe, "_call", lambda _self, _method, _url, _kind, parameters, _s: asked.append(parameters)
    )
    live = _parse({"modelVersion": "1.0", "batchSize": 2, "maxBatchDelay": 0})
    server.register("brainseg-1.1.mar", 1.0, live.batch)
    assert (asked[0]["batch_size"], asked[0]["max_batch_delay"]) == ("2", "0")
