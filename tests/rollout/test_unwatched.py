"""A version on trial that nobody watches is taken back, and said to be unwatched until then."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from archive.store import ROOT
from rollout import history, unwatched, watch
from rollout.file_lock import end_holder
from rollout.lock import LOCK_FILE, locked
from rollout.promote import promoted
from rollout.show import print_status, status_of
from rollout.state import Deployed, Deployment, Phase, read_deployment, write_deployment
from rollout.unwatched import Lease, is_unwatched, take_back_at_start
from tests.waiting import until


def deployed(version: str) -> Deployed:
    return Deployed(version, f"brainseg-{version}-0123456789ab.mar", f"sha256:{version}", "2026-01-01T00:00:00Z")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """2.0 was promoted over 1.0, and its deploy was killed in the watch."""
    deployment = promoted(Deployment(deployed("1.0")), deployed("2.0"))
    write_deployment(tmp_path, deployment.in_phase(Phase.WATCHING, deployed("2.0"), "ann"))
    return tmp_path


def test_the_lease_is_the_lock_of_the_deploy(state: Path) -> None:
    assert is_unwatched(state, read_deployment(state))
    with locked(state):
        assert not is_unwatched(state, read_deployment(state))
    gating = Deployment(deployed("1.0")).in_phase(Phase.GATING, deployed("2.0"), "ann")
    assert not is_unwatched(state, gating)
    assert not is_unwatched(state, gating.settled())
    assert not is_unwatched(state, None)


def test_the_server_takes_it_back_when_the_lease_has_run_out(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Path] = []
    monkeypatch.setattr(unwatched, "LEASE_SECONDS", -1)
    monkeypatch.setattr(unwatched, "take_back", lambda folder, _say: taken.append(folder))
    lease = Lease(state, print)
    with locked(state):
        lease.look()
        lease.look()
    assert taken == []
    lease.look()
    lease.look()
    assert taken == [state]


HOLD = "import sys, time; from rollout.lock import locked; from pathlib import Path\n"
HOLD += "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(3600)"


@pytest.fixture
def stopped(state: Path) -> Iterator[subprocess.Popen[str]]:
    """The deploy that watches, stopped as by Ctrl-Z, and not having renewed its lease for long."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, state], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    process.send_signal(signal.SIGSTOP)
    assert not is_unwatched(state, read_deployment(state))
    os.utime(state / LOCK_FILE, (0, 0))
    yield process
    process.kill()
    process.communicate()


def test_who_is_stopped_does_not_watch(
    state: Path, stopped: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    assert is_unwatched(state, read_deployment(state))
    change = status_of(state)["change"]
    assert (change["phase"], change["kept"]) == ("watching", False)
    monkeypatch.setattr(unwatched, "LEASE_SECONDS", -1)
    lease = Lease(state, said.append)
    lease.look()
    lease.look()
    until(lambda: not psutil.pid_exists(stopped.pid), "it goes on")
    assert "could not be taken back" in said[-1]  # no server runs here; what one does then is shown with kill -9
    take_back_at_start(state, state, said.append)
    found = read_deployment(state)
    assert found is not None
    assert found.live.version == "1.0"


def test_a_number_of_another_container_is_nobody_here(state: Path, stopped: subprocess.Popen[str]) -> None:
    (state / LOCK_FILE).write_text(str(os.getpid()))
    with pytest.raises(OSError, match=f"process {os.getpid()}.*cannot be ended from here"):
        end_holder(state / LOCK_FILE)
    assert stopped.poll() is None


def test_a_watch_renews_its_lease_while_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    renewed: list[float] = []
    monkeypatch.setattr(watch, "NAP_SECONDS", 0.001)
    one = object.__new__(watch.Watch)
    one._renew = lambda: renewed.append(0)
    one._nap(0.02)
    assert len(renewed) > 3


def test_what_cannot_be_taken_back_is_said_and_the_server_goes_on(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(unwatched, "LEASE_SECONDS", -1)
    lease = Lease(state, said.append)
    lease.look()
    lease.look()
    assert "could not be taken back" in said[-1]


def test_a_start_brings_the_version_before(state: Path, tmp_path: Path) -> None:
    store, said = tmp_path / "store", []
    store.mkdir()
    for version in ("1.0", "2.0"):
        (store / deployed(version).archive).write_text("")
    take_back_at_start(state, store, said.append)
    found = read_deployment(state)
    assert found is not None
    assert (found.live.version, found.served, found.change) == ("1.0", (), None)
    assert [path.name for path in store.glob("*.mar")] == [deployed("1.0").archive]
    assert "version 2.0 is taken back, 1.0 is live again" in said[0]
    assert [(event.version, event.decision) for event in history.read(state)] == [("2.0", "rolled-back")]
    take_back_at_start(state, store, said.append)
    assert len(said) == 1


def test_status_says_whether_anybody_watches(state: Path) -> None:
    console = Console(record=True, width=200)
    print_status(console, status_of(state))
    assert "left behind: 2.0 watching for " in (text := console.export_text())
    assert ", by ann, since 20" in text
    assert "nobody watches it" in text
    with locked(state):
        print_status(console, status_of(state))
    assert "under way: 2.0 watching" in console.export_text()
