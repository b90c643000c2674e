"""The first start, from releases alone: it makes their archives, each for the engine that is fastest here."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from archive.store import archive_path, released_versions
from archive.verify import read_release
from prove.server import Server
from tests.conftest import releases
from tests.rollout.stage import RELEASE

pytestmark = pytest.mark.server


def first_start(store: Path, state: Path, scan: bytes) -> None:
    """Nothing is there but releases; then all of them are served, packaged as measured."""
    versions = released_versions(store)
    assert versions
    assert not list(store.glob("*.mar"))
    server = Server(store, state)
    server.start()
    try:
        for version in versions:
            archive = archive_path(version, store)
            assert f"packaging {archive.name}" in server.output.read_text()
            assert read_release(archive).card.serving["chosen"] == "measured"
            assert server.post(scan, version=version).json()["model"]["version"] == version
        assert server.stop() == 0
    finally:
        server.kill()


def test_a_release_is_packaged_and_served(packaged: Path, tmp_path: Path, lesion: bytes) -> None:
    """The state in a path beyond what a Unix socket's may have."""
    shutil.copytree(packaged / RELEASE, tmp_path / "store" / RELEASE)
    state = tmp_path / ("long" * 30) / "state"
    state.parent.mkdir()
    first_start(tmp_path / "store", state, lesion)


@pytest.mark.long  # engines of three large networks are made and measured: minutes
def test_the_releases_are_packaged_and_served(tmp_path: Path, lesion: bytes) -> None:
    first_start(releases(tmp_path / "store", released_versions()), tmp_path / "state", lesion)
