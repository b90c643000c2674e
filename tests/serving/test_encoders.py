"""Any encoder of segmentation_models_pytorch, packaged and served: the published one's neighbours, not ours alone; and
a network that sees one sequence."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
import torch

from archive.known import difference
from handler.card import IMAGENET_MEAN, IMAGENET_STD, SEQUENCES, Architecture, FileRecord, InputSpec, ModelCard
from handler.network import build
from prove.drawn.volumes import nifti
from prove.server import Server
from samples.make import FOLDER
from tests.handler.volumes.test_way import head
from tests.serving.test_operations import manage
from tests.tiny import TINY, package_quietly
from training.release.folder import write_release

pytestmark = pytest.mark.server


def in_three_parts(server: Server, version: str) -> list[dict[str, Any]]:
    """``sequences`` of the answer to a volume of three sequences: those that the network of ``version`` sees."""
    scan = nifti(head()[0])
    parts = {name: (f"{name}.nii", scan) for name in SEQUENCES}
    reply = requests.post(f"{server.url}/{version}", files=parts, headers=server.auth(), timeout=600)
    assert reply.status_code == 200, reply.text
    seen: list[dict[str, Any]] = reply.json()["sequences"]
    return seen


THREE = InputSpec(64, 64)
FLAIR = InputSpec(64, 64, IMAGENET_MEAN[1:2], IMAGENET_STD[1:2], ("flair",))


@pytest.mark.parametrize(
    ("version", "architecture", "spec"),
    [
        ("3.0", Architecture(encoder="resnet18"), THREE),  # with the decoder of the published network
        pytest.param(
            "4.0",
            Architecture(encoder="efficientnet-b4", decoder_channels=TINY.decoder_channels),
            THREE,
            marks=pytest.mark.long,  # 45 s of two cores; smaller kin of it is packaged in tests/archive every day
        ),
        ("5.0", replace(TINY, in_channels=1), FLAIR),
    ],
    ids=["resnet18", "efficientnet-b4", "one channel"],
)
def test_other_networks_are_served(
    version: str, architecture: Architecture, spec: InputSpec, tiny_server: Server, tiny_store: Path
) -> None:
    torch.manual_seed(0)
    card = ModelCard("brainseg", version, FileRecord("weights.safetensors", "", 0), architecture, spec)
    folder, archive = tiny_store / f"brainseg-{version}", tiny_store / f"brainseg-{version}.mar"
    write_release(folder, build(architecture).state_dict(), card)
    packaged = package_quietly(folder, archive)
    try:
        added = manage(tiny_server, "POST", "", url=archive.name, initial_workers="1", synchronous="true")
        assert added.status_code == 200, added.text
        for known in packaged.known_answers:
            answer = tiny_server.post((FOLDER / known["sample"]).read_bytes(), version=version).json()
            assert answer["model"]["architecture"] == architecture.label
            assert not difference(known, answer)
        assert [entry["channel"] for entry in in_three_parts(tiny_server, version)] == list(spec.sequences)
    finally:
        manage(tiny_server, "DELETE", f"/brainseg/{version}")
        shutil.rmtree(folder)
        archive.unlink()
