"""A version on trial that nobody watches is taken back, and said to be unwatched until then."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from rollout import history, unwatched
from rollout.lock import locked
from rollout.promote import promoted
from rollout.show import print_status, status_of
from rollout.state import Deployed, Deployment, Phase, read_deployment, write_deployment
from rollout.unwatched import Lease, is_unwatched, take_back_at_start


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
    assert [path.name for path in store.iterdir()] == [deployed("1.0").archive]
    assert "version 2.0 is taken back, 1.0 is live again" in said[0]
    assert [(event.version, event.decision) for event in history.read(state)] == [("2.0", "rolled-back")]
    take_back_at_start(state, store, said.append)
    assert len(said) == 1


def test_status_says_whether_anybody_watches(state: Path) -> None:
    console = Console(record=True, width=200)
    print_status(console, status_of(state))
    assert "left behind: 2.0 watching, by ann" in (text := console.export_text())
    assert "nobody watches it" in text
    with locked(state):
        print_status(console, status_of(state))
    assert "under way: 2.0 watching" in console.export_text()
