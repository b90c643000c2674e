"""A state folder and a model store, backed up and restored in the words of docs/operations.md."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from archive.store import ROOT
from handler.files import sha256_of
from rollout import history
from rollout.history import Event
from rollout.state import Deployed, Deployment, check_archives, read_deployment, write_deployment

WORDS = re.findall(r"^tar .*$", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)


def test_what_was_deployed_is_deployed_after_a_restore(tmp_path: Path) -> None:
    state, store = tmp_path / ".run", tmp_path / "model_store"
    state.mkdir(mode=0o700)
    store.mkdir()
    (store / "brainseg-1.0-0.mar").write_bytes(b"one")
    (state / "key").write_text("private")
    (state / "key").chmod(0o600)
    live = Deployed("1.0", "brainseg-1.0-0.mar", sha256_of(store / "brainseg-1.0-0.mar"), "2026-01-01T00:00:00Z")
    write_deployment(state, Deployment(live))
    history.append(state, Event("ann", "1.0", live.sha256, "promoted", "passed the gate", "0.9"))
    before = history.read(state)

    back_up, restore = WORDS
    subprocess.run(back_up.split(), cwd=tmp_path, check=True)
    shutil.rmtree(state)
    shutil.rmtree(store)
    subprocess.run(restore.split(), cwd=tmp_path, check=True)

    found = read_deployment(state)
    assert found == Deployment(live)
    check_archives(found, store, state)
    assert history.read(state) == before != []
    assert [path.stat().st_mode & 0o777 for path in (state, state / "key")] == [0o700, 0o600]
