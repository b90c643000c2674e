"""Servers that share a model store leave each other's archives alone. With real servers:
``test_refused.py::test_what_another_server_on_the_same_store_needs_stays``."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from rollout.in_use import FOLDER, guarded, register
from rollout.promote import promoted
from rollout.site import drop_archive
from rollout.state import DEPLOYMENT_FILE, Deployed, Deployment, Phase, write_deployment

MINE = "mine"


def deployed(version: str) -> Deployed:
    return Deployed(version, f"brainseg-{version}.mar", f"sha256:{version}", "2026-01-01T00:00:00Z")


def needed_by_others(tmp_path: Path, deployment: Deployment) -> Path:
    """A model store in which another state needs ``deployment``; the folder of that state."""
    store, other = tmp_path / "store", tmp_path / "other"
    for folder in (store, other, tmp_path / MINE):
        folder.mkdir()
    for version in ("1.0", "2.0"):
        (store / deployed(version).archive).touch()
        (store / f".{deployed(version).archive}.half").touch()
    with guarded(store):
        for state in (other, tmp_path / MINE):
            register(store, state)
    write_deployment(other, deployment)
    return other


def dropped(tmp_path: Path, version: str) -> bool:
    """Whether my server, which has 3.0, deletes the archive of ``version`` and what is half copied of it."""
    store = tmp_path / "store"
    drop_archive(store, tmp_path / MINE, deployed(version), Deployment(deployed("3.0")))
    left = [path.name for path in store.iterdir() if deployed(version).archive in path.name]
    assert len(left) in (0, 2)
    return not left


LIVE = Deployment(deployed("1.0"))


@pytest.mark.parametrize(
    "deployment",
    [
        LIVE,
        promoted(LIVE, deployed("4.0")),
        Deployment(deployed("4.0"), previous=(deployed("1.0"),)),
        Deployment(deployed("4.0")).in_phase(Phase.COPYING, deployed("1.0"), "ann"),
    ],
    ids=["live", "served", "to roll back to", "being copied"],
)
def test_what_another_state_needs_stays(deployment: Deployment, tmp_path: Path) -> None:
    other = needed_by_others(tmp_path, deployment)
    assert not dropped(tmp_path, "1.0")
    assert dropped(tmp_path, "2.0")
    write_deployment(other, Deployment(deployed("5.0")))
    assert dropped(tmp_path, "1.0")


def test_a_state_that_is_gone_needs_nothing(tmp_path: Path) -> None:
    shutil.rmtree(needed_by_others(tmp_path, LIVE))
    assert dropped(tmp_path, "1.0")
    assert len(list((tmp_path / "store" / FOLDER).iterdir())) == 1


def test_a_state_that_cannot_be_read_may_need_anything(tmp_path: Path) -> None:
    other = needed_by_others(tmp_path, LIVE)
    (other / DEPLOYMENT_FILE).write_text("{")
    assert not dropped(tmp_path, "2.0")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can leave files of root's behind")
def test_the_folder_stays_the_stores_owners(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    with guarded(tmp_path):
        assert (tmp_path / FOLDER).stat().st_uid == 65534
