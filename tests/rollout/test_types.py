"""The classifier on a real server: none, deployed, asked, replaced, kept by a restart, refused where it is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from archive.mar import package
from archive.verify import read_release
from rollout.errors import Exit, RolloutError, UsageError
from rollout.types import DeployedTypes, check_is_segmentation, read_types, types_to_serve
from samples.make import FOLDER
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

    assert stage.server.stop() == 0
    stage.server.start()
    again = ask(stage)
    assert (again.status_code, again.json()["model"]["version"]) == (200, "0.2")
    assert stage.default() == "1.0"  # of the segmentation, which all this has left alone
    decided = [(event["version"], event["decision"]) for event in stage.history()]
    assert decided == [("brainseg-types 0.1", "promoted"), ("brainseg-types 0.2", "promoted")]


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
