"""A real older build, upgraded and taken back as docs/operations.md says: what it deployed is served on."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from archive.programs import python
from archive.store import ROOT
from benchmark.builds import SHELL, Build, served
from prove.server import START_SECONDS
from tests.tiny import write_tiny_release

OLDER = "ba77cfe"  # before archives carried digests, releases a gate, and scripts their rooms
pytestmark = [pytest.mark.server, pytest.mark.long, pytest.mark.timeout(3600)]  # builds start thrice


@pytest.fixture
def older_build(tmp_path: Path) -> Path:
    """A checkout of ``OLDER``."""
    folder = tmp_path / "older"
    known = ["git", "-C", str(ROOT), "cat-file", "-e", f"{OLDER}^{{commit}}"]
    if subprocess.run(known, capture_output=True, check=False).returncode:
        pytest.skip(f"commit {OLDER} is not in this checkout: git fetch --unshallow brings it")
    subprocess.run(["git", "clone", "--quiet", "--no-checkout", ROOT, folder], check=True)
    subprocess.run(["git", "-C", folder, "checkout", "--quiet", "--detach", OLDER], check=True)
    return folder


def answer_of(build: Build, scan: bytes) -> dict[str, Any]:
    """What clients of the default version get, without what no two requests share."""
    body: dict[str, Any] = build.knock(scan, {"X-BrainSeg-Outputs": "mask"}).json()
    return {key: body[key] for key in ("model", "verdict", "tumor_pixels", "max_probability", "slices")}


def told(folder: Path, *command: object) -> None:
    """``command`` in the checkout ``folder``; fails with what it said."""
    words = ["bash", "-euo", "pipefail", "-c", SHELL, "told", str(folder), *map(str, command)]
    run = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=3 * START_SECONDS)
    assert run.returncode == 0, run.stdout + run.stderr


def patient(build: Path, folder: Path) -> list[str]:
    """``--limits`` of the build's own, but for times: they are not what is asked here, on a busy machine."""
    limits = yaml.safe_load((build / "deploy" / "rollout.yaml").read_text())
    limits["latency"] |= {"median_ratio": 100, "p95_ratio": 100, "p95_seconds": 100}
    limits["watch"] |= {"seconds": 5, "every_seconds": 1}
    file = folder / f"{build.name}.yaml"
    file.write_text(yaml.safe_dump(limits))
    return ["--limits", str(file)]


def test_an_older_build_is_upgraded_brought_up_and_taken_back(older_build: Path, tmp_path: Path, lesion: bytes) -> None:
    state, store = tmp_path / "state", tmp_path / "store"
    shutil.copytree(older_build / "model_store" / "brainseg-2.0", store / "brainseg-2.0")
    write_tiny_release(store, "1.0")
    (store / "default-version").write_text("1.0\n")
    archive = store / "brainseg-2.0.mar"
    with served("older", older_build, state, store) as build:
        told(older_build, *python("-m", "scripts.tools.package"), "2.0", "--model-store", store)
        told(
            older_build,
            *python("-m", "scripts.tools.deploy"),
            archive,
            "--state",
            state,
            *patient(older_build, tmp_path),
        )
        before = answer_of(build, lesion)
    assert (before["model"]["version"], before["verdict"]) == ("2.0", "tumor_detected")
    back_up = tmp_path / "back-up"
    for folder in (state, store):
        shutil.copytree(folder, back_up / folder.name, symlinks=True)

    with served("today", ROOT, state, store) as build:
        assert answer_of(build, lesion) == before
        (line,) = [one for one in state.with_suffix(".log").read_text().splitlines() if "older than this build" in one]
        (command,) = re.findall(r"\./scripts/package .*? && \./scripts/deploy \S+", line)
        package, deploy = command.split(" && ")
        told(ROOT, *shlex.split(package))
        told(ROOT, *shlex.split(deploy), "--state", state, *patient(ROOT, tmp_path))
        brought_up = answer_of(build, lesion)
    assert brought_up["model"]["version"] == "2.0.1"
    assert abs(brought_up["tumor_pixels"] - before["tumor_pixels"]) <= 2  # another engine may turn a pixel of the edge

    for folder in (state, store):
        shutil.rmtree(folder)
        shutil.copytree(back_up / folder.name, folder, symlinks=True)
    with served("older", older_build, state, store) as build:
        assert answer_of(build, lesion) == before
