"""From a real build of before to today's, and back: what docs/operations.md says of an upgrade."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from archive.store import ROOT
from benchmark.builds import Build, served
from rollout.state import read_deployment
from samples.make import FOLDER, LESION

pytestmark = [pytest.mark.long, pytest.mark.server]
BEFORE, VERSION = "ba77cfe", "2.0"  # the last build without digests in its archives


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """A checkout of the build of before. Our own tree, so nothing in it is to be distrusted."""
    packed = subprocess.run(["git", "-C", str(ROOT), "archive", BEFORE], capture_output=True, check=False)
    if packed.returncode:
        pytest.skip(f"{BEFORE} is not in this clone's history: {packed.stderr.decode().strip()}")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as content:
        content.extractall(tmp_path / "older", filter="data")
    (tmp_path / "older" / ".venv").symlink_to(ROOT / ".venv")
    return tmp_path / "older"


def answered(build: Build) -> dict[str, Any]:
    """What the front door says of the sample: of its model and of the tumour."""
    body = build.knock((FOLDER / LESION).read_bytes(), {"X-BrainSeg-Outputs": "none"}).json()
    model = {name: body["model"][name] for name in ("version", "digest")}
    return {**model, **{name: body[name] for name in ("verdict", "tumor_pixels", "threshold")}}


def test_what_the_build_of_before_deployed_is_served_on_and_the_way_back_is_open(older: Path, tmp_path: Path) -> None:
    store, state, kept = tmp_path / "store", tmp_path / "state", tmp_path / "kept"
    shutil.copytree(older / "model_store" / f"brainseg-{VERSION}", store / f"brainseg-{VERSION}")
    with served("before", older, state, store) as build:
        before = answered(build)
    deployed = read_deployment(state)
    assert (before["version"], before["verdict"]) == (VERSION, "tumor_detected")
    for folder in (store, state):  # the back-up
        shutil.copytree(folder, kept / folder.name, symlinks=True)

    with served("today", ROOT, state, store) as build:
        assert answered(build) == before
    assert read_deployment(state) == deployed, "an upgrade changes nothing of what is deployed"
    assert "older than this build" in state.with_suffix(".log").read_text()

    for folder in (store, state):  # the way back: the checkout of before, restored
        shutil.rmtree(folder)
        shutil.copytree(kept / folder.name, folder, symlinks=True)
    with served("before", older, state, store) as build:
        assert answered(build) == before
