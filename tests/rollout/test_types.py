"""The classifier on a real server: none, deployed, asked, replaced, kept by a restart, refused where it is wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import requests

from archive.errors import UntrustedError
from archive.mar import package, sign_archive
from archive.store import BESIDE, ROOT, TYPES_NAME
from archive.verify import read_release
from handler.files import sha256_of
from prove.server import environment
from rollout import history
from rollout.errors import ArchiveError, Exit, NoTargetError, RolloutError, UsageError
from rollout.server import TorchServe
from rollout.signers import Signers, write_signers
from rollout.types import (
    BEFORE_FILES,
    FILES,
    DeployedTypes,
    check_is_segmentation,
    read_before,
    read_types,
    types_to_serve,
    write_types,
)
from rollout.types_back import _unchanged, roll_back_types
from samples.make import FOLDER
from serving.chosen import beside_to_serve
from serving.torchserve import Places
from signing.keys import PRIVATE, load_private, make_keys
from tests.rollout.stage import ARCHIVE, Stage, make_hasty_stage, repack
from tests.tiny import LABELS, write_tiny_types

pytestmark = pytest.mark.server
LESION = (FOLDER / "lesion.png").read_bytes()


@pytest.fixture(scope="module")
def types(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Archives of two versions."""
    folder = tmp_path_factory.mktemp("types")
    for seed, version in enumerate(("0.1", "0.2")):
        package(write_tiny_types(folder, version, seed), folder / f"types-{version}.mar", engine="onnxruntime")
    return folder


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, packaged: Path) -> Iterator[Stage]:
    stage = make_hasty_stage(tmp_path_factory.mktemp("stage"), packaged)
    stage.server.start()
    yield stage
    stage.server.kill()


def ask(stage: Stage, query: str = "") -> requests.Response:
    return requests.post(f"{stage.server.door}/api/v1/classify{query}", data=LESION, timeout=300)


def test_a_classifier_comes_goes_and_stays(stage: Stage, types: Path) -> None:
    none = ask(stage)
    assert (none.status_code, none.json()["code"]) == (404, "model_not_found")

    done = stage.deploy(types / "types-0.1.mar")
    assert done.code == Exit.DONE, done.out
    first = ask(stage)
    assert first.status_code == 200, first.text
    assert first.json()["model"]["version"] == "0.1"
    assert first.json()["label"] in LABELS
    assert ask(stage, "?version=0.2").json()["code"] == "model_not_found"

    done = stage.deploy(types / "types-0.2.mar")
    assert done.code == Exit.DONE, done.out
    assert [one["modelVersion"] for one in stage.server.describe(model="brainseg-types")] == ["0.2"]
    assert ask(stage).json()["model"]["version"] == "0.2"

    wrong = repack(types / "types-0.1.mar", stage.folder / "wrong.mar", {"model-card.json": _lies})
    done = stage.deploy(wrong)
    assert done.code == Exit.GATE, done.out
    assert "known answers" in done.out
    assert ask(stage).json()["model"]["version"] == "0.2"

    for command in ("canary", "shadow"):
        refused = stage.deploy(command, types / "types-0.1.mar", "--share", "10")
        assert refused.code == Exit.USAGE, refused.out
        assert "brainseg-types has no trial; deploy it with ./scripts/deploy" in refused.out

    assert stage.server.stop() == 0
    stage.server.start()
    again = ask(stage)
    assert (again.status_code, again.json()["model"]["version"]) == (200, "0.2")

    shown = stage.deploy("status").out
    assert "brainseg-types: 0.2 is live, 0.1 to roll back to; at TorchServe: 0.2 (1 ready)" in shown
    back = stage.deploy("rollback", "--model", "brainseg-types")
    assert back.code == Exit.DONE, back.out
    assert "brainseg-types 0.1 is live; 0.2 is taken back" in back.out
    assert ask(stage).json()["model"]["version"] == "0.1"
    assert [one["modelVersion"] for one in stage.server.describe(model="brainseg-types")] == ["0.1"]
    assert stage.deploy("rollback", "--model", "brainseg-types").code == Exit.NO_TARGET
    assert json.loads(stage.deploy("status", "--json").out)["beside"]["brainseg-types"] == {
        "declared": "0.1", "before": None, "ready": {"0.1": 1},
    }  # fmt: skip
    assert stage.default() == "1.0"  # of the segmentation, which all this has left alone
    decided = [(event["version"], event["decision"]) for event in stage.history()]
    named = ["brainseg-types 0.1", "brainseg-types 0.2", "brainseg-types 0.2"]
    assert decided == list(zip(named, ["promoted", "promoted", "rolled-back"], strict=True))


def _lies(card: bytes) -> bytes:
    content = json.loads(card)
    for known in content["known_answers"]:
        known["probabilities"] = dict(zip(LABELS, (0.98, 0.01, 0.01), strict=True))
    return json.dumps(content).encode()


def test_a_trial_is_for_segmentations(types: Path, packaged: Path) -> None:
    with pytest.raises(UsageError, match="brainseg-types has no trial"):
        check_is_segmentation(read_release(types / "types-0.1.mar"))
    check_is_segmentation(read_release(packaged / ARCHIVE))


def test_what_a_start_loads_is_what_was_deployed(tmp_path: Path) -> None:
    assert types_to_serve(tmp_path, tmp_path) is None
    (tmp_path / "types.json").write_text('{"version": "1", "archive": "a.mar", "sha256": "sha256:0"}', encoding="utf-8")
    assert read_types(tmp_path) == DeployedTypes("1", "a.mar", "sha256:0")
    (tmp_path / "a.mar").write_bytes(b"another")
    with pytest.raises(RolloutError, match="is not the classifier that was deployed"):
        types_to_serve(tmp_path, tmp_path)
    (tmp_path / "types.json").write_text("[]", encoding="utf-8")
    with pytest.raises(RolloutError, match="cannot be read"):
        read_types(tmp_path)


@pytest.mark.parametrize("model", BESIDE)
def test_a_server_that_does_not_run_goes_back_too(tmp_path: Path, model: str) -> None:
    with pytest.raises(NoTargetError, match="was ever deployed"):
        roll_back_types(tmp_path, model, "ann", 1)
    one, two = DeployedTypes("1", "a.mar", "sha256:1"), DeployedTypes("2", "b.mar", "sha256:2")
    write_types(tmp_path / FILES[model], two)
    with pytest.raises(NoTargetError, match=f"no {model} before 2"):
        roll_back_types(tmp_path, model, "ann", 1)
    write_types(tmp_path / BEFORE_FILES[model], one)
    assert read_before(tmp_path, model) == one
    assert f"brings {model} 1 instead of 2" in roll_back_types(tmp_path, model, "ann", 1)
    assert (read_types(tmp_path, model), read_before(tmp_path, model)) == (one, None)
    events = [(event.version, event.decision) for event in history.read(tmp_path)]
    assert events == [(f"{model} 2", "rolled-back")]
    write_types(tmp_path / BEFORE_FILES[model], one)  # as a kill between the two files leaves it
    assert read_before(tmp_path, model) is None


def test_a_classifier_is_held_to_signatures_as_a_segmentation(stage: Stage, types: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    make_keys(keys)
    state = tmp_path / "state"
    state.mkdir()
    command = ["--state", stage.server.state, "--trusted-keys", keys, "--dry-run"]

    def told(archive: Path) -> subprocess.CompletedProcess[str]:
        arguments = list(map(str, [ROOT / "scripts" / "deploy", archive, *command]))
        return subprocess.run(arguments, capture_output=True, text=True, timeout=300, check=False, env=environment())

    bare = told(types / "types-0.1.mar")
    assert bare.returncode == Exit.ARCHIVE, bare.stdout + bare.stderr
    assert "is refused" in bare.stdout
    assert "not signed" in bare.stdout
    signed = Path(shutil.copy(types / "types-0.1.mar", tmp_path / "brainseg-types-0.1.mar"))
    sign_archive(signed, load_private(keys / PRIVATE))
    taken = told(signed)
    assert taken.returncode == Exit.DONE, taken.stdout + taken.stderr
    assert "is signed by the trusted key" in taken.stdout

    deployed = DeployedTypes("0.1", "types-0.1.mar", sha256_of(types / "types-0.1.mar"))
    write_types(state / FILES[TYPES_NAME], deployed)
    with pytest.raises(UntrustedError, match="not signed"):
        beside_to_serve(Places(state, tmp_path, types), threading.Event(), Signers(keys), TYPES_NAME)
    write_signers(state, Signers(keys))
    server = cast(TorchServe, SimpleNamespace(store=types))
    with pytest.raises(ArchiveError, match="not signed"):
        _unchanged(server, state, deployed)
    write_signers(state, Signers())
    assert _unchanged(server, state, deployed).version == "0.1"
    with pytest.raises(RolloutError, match="was deployed"):
        _unchanged(server, state, replace(deployed, sha256="sha256:0"))
    with pytest.raises(RolloutError, match="is not there any more"):
        _unchanged(server, state, replace(deployed, archive="gone.mar"))
