"""Networks over several slices behind a real TorchServe: packaged, deployed, asked with stacks and volumes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import requests
import torch

from archive import convert, mar
from archive.known import difference
from handler.card import Architecture, FileRecord, InputSpec, ModelCard
from handler.network import build
from handler.pipeline import answer, open_model
from handler.resources import Plan
from prove.drawn.pictures import png, tiff
from prove.drawn.volumes import dicom_zip, nifti
from prove.server import Server
from samples.make import FOLDER
from samples.phantom import draw_stack
from tests.archive.test_deep import BESIDE, OVER
from tests.contract import check_answer
from tests.handler.volumes.test_way import head
from tests.serving.test_operations import manage
from training.release.folder import write_release

pytestmark = pytest.mark.server


def packaged(folder: Path, archive: Path, architecture: Architecture, spec: InputSpec) -> ModelCard:
    torch.manual_seed(0)
    card = ModelCard(
        "brainseg", folder.name.rpartition("-")[2], FileRecord("weights.safetensors", "", 0), architecture, spec
    )
    write_release(folder, build(architecture).state_dict(), card)
    with pytest.MonkeyPatch.context() as patch:
        for module in (mar, convert):
            patch.setattr(module, "plan", lambda: Plan(1, 1))
        return mar.package(folder, archive, engine="onnxruntime")


@pytest.mark.parametrize(("version", "network"), [("3.5", BESIDE), ("3.6", OVER)], ids=["neighbours", "volume"])
def test_stacks_and_volumes_are_answered(
    version: str, network: tuple[Architecture, InputSpec], tiny_server: Server, tiny_store: Path
) -> None:
    folder, archive = tiny_store / f"brainseg-{version}", tiny_store / f"brainseg-{version}.mar"
    card = packaged(folder, archive, *network)
    assert card.serving["engine"] == "onnxruntime"
    here = open_model(folder, "torch", 1)
    scan, _ = head()
    stack = tiff([page.image for page in draw_stack(3, 19)], photometric="rgb")
    sent = {"stack": stack, "nifti": nifti(scan), "dicom": dicom_zip(scan), "picture": png(draw_stack(3, 1)[0].image)}
    try:
        added = manage(tiny_server, "POST", "", url=archive.name, initial_workers="1", synchronous="true")
        assert added.status_code == 200, added.text
        for known in card.known_answers:
            assert not difference(known, tiny_server.post((FOLDER / known["sample"]).read_bytes(), version).json())
        for name, body in sent.items():
            reply = tiny_server.post(body, version, X_BrainSeg_Outputs="none")
            assert reply.status_code == 200, (name, reply.text)
            told = check_answer(reply.content)
            own = check_answer(answer(here, {"body": body}, {"X-BrainSeg-Outputs": "none"}).answer.body)
            assert told["model"]["version"] == version
            assert _close(told, own), name
            lone = [warning["code"] for warning in told["warnings"] if warning["code"] == "no_neighbours"]
            assert lone == (["no_neighbours"] if name == "picture" else [])
        url = tiny_server.url.replace("predictions", "explanations")
        refused = requests.post(f"{url}/{version}", data=stack, headers=tiny_server.auth(), timeout=600)
        assert (refused.status_code, refused.json()["code"]) == (501, "explain_unavailable")
    finally:
        manage(tiny_server, "DELETE", f"/brainseg/{version}")
        shutil.rmtree(folder)
        archive.unlink()


def _close(told: dict[str, Any], own: dict[str, Any]) -> bool:
    """But for what two engines differ by."""
    assert len(told["slices"]) == len(own["slices"]) > 0
    assert json.dumps(told["warnings"]) == json.dumps(own["warnings"])
    return all(
        abs(one["tumor_pixels"] - other["tumor_pixels"]) <= 20
        and abs(one["max_probability"] - other["max_probability"]) < 1e-3
        for one, other in zip(told["slices"], own["slices"], strict=True)
    )
