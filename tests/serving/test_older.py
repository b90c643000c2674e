"""A state folder that an older build left, and today's build."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from archive.digests import DIGESTS_FILE
from archive.errors import UntrustedError
from archive.mar import pack
from archive.verify import read_release
from handler.files import sha256_of
from prove.server import Server
from rollout.state import Deployed, Deployment, write_deployment
from serving.older import older
from tests.rollout.stage import ARCHIVE, RELEASE


def older_state(folder: Path, packaged: Path) -> tuple[Path, Path]:
    """Store and state as the build before the mark and the digests left them: 1.0 deployed, its handler an older one,
    and the release folder of today's build beside it."""
    store, state = folder / "store", folder / "state"
    shutil.copytree(packaged / RELEASE, store / RELEASE)
    with zipfile.ZipFile(packaged / ARCHIVE) as source:
        members = {name: source.read(name) for name in source.namelist() if name != DIGESTS_FILE}
    members["inputs.sha256"] = b"sha256:0"
    members["handler/pipeline.py"] += b"\n# as it was\n"
    (store / "old.mar").write_bytes(pack(members))
    digest = sha256_of(store / "old.mar")
    archive = (store / "old.mar").rename(store / f"brainseg-1.0-{digest[7:19]}.mar")
    (state / "logs").mkdir(parents=True)
    for name in ("serve.lock", "deploy.lock", "config.properties"):
        (state / name).write_text("")
    write_deployment(state, Deployment(Deployed("1.0", archive.name, digest, "2026-01-01T00:00:00Z")))
    return store, state


def test_what_was_deployed_before_the_digests_is_taken_by_its_own_digest_only(packaged: Path, tmp_path: Path) -> None:
    store, _ = older_state(tmp_path, packaged)
    (archive,) = store.glob("*.mar")
    assert read_release(archive, sha256_of(archive)).digests is None
    for deployed in ("", "sha256:else"):
        with pytest.raises(UntrustedError, match="older build"):
            read_release(archive, deployed)


def test_versions_of_this_build_are_not_older_and_numbers_go_on(packaged: Path, tmp_path: Path) -> None:
    store, state = older_state(tmp_path, packaged)
    shutil.copy(packaged / ARCHIVE, store / "today.mar")
    today = Deployed("1.0", "today.mar", sha256_of(store / "today.mar"), "")
    assert older(Deployment(today), store, state) == []
    (archive,) = store.glob("brainseg-1.0-*.mar")
    old = Deployed("1.0", archive.name, sha256_of(archive), "")
    (line,) = older(Deployment(old, previous=(Deployed("1.0.1", "", "", ""),)), store, state)
    assert f"./scripts/package 1.0 --as 1.0.2 --model-store {store}" in line


@pytest.mark.server
def test_todays_build_serves_an_older_state_and_says_how_it_is_brought_up(
    packaged: Path, tmp_path: Path, lesion: bytes
) -> None:
    store, state = older_state(tmp_path, packaged)
    server = Server(store, state)
    server.start()
    try:
        (line,) = [one for one in server.output.read_text().splitlines() if "older than this build" in one]
        assert "version 1.0" in line
        assert f"./scripts/package 1.0 --as 1.0.1 --model-store {store} && ./scripts/deploy" in line
        assert server.post(lesion).status_code == 200
        assert json.loads((state / "deployment.json").read_text())["live"]["version"] == "1.0"
        text = (state / "logs" / "torchserve.log").read_text()
        assert '"POST /predictions' in text
        assert '"GET /models' not in text
    finally:
        server.kill()
