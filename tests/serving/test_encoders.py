"""Any encoder of segmentation_models_pytorch, packaged and served: the published one's neighbours, not ours alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from archive.known import difference
from handler.card import Architecture, FileRecord, InputSpec, ModelCard
from handler.network import build
from samples.make import FOLDER
from tests.server import Server
from tests.serving.test_operations import manage
from tests.tiny import TINY, package_quietly
from training.release.folder import write_release

pytestmark = pytest.mark.server


@pytest.mark.parametrize(
    ("version", "architecture"),
    [
        ("3.0", Architecture(encoder="resnet18")),  # with the decoder of the published network
        pytest.param(
            "4.0",
            Architecture(encoder="efficientnet-b4", decoder_channels=TINY.decoder_channels),
            marks=pytest.mark.long,  # 45 s of two cores; smaller kin of it is packaged in tests/archive every day
        ),
    ],
    ids=["resnet18", "efficientnet-b4"],
)
def test_other_encoders_are_served(
    version: str, architecture: Architecture, tiny_server: Server, tiny_store: Path
) -> None:
    torch.manual_seed(0)
    card = ModelCard("brainseg", version, FileRecord("weights.safetensors", "", 0), architecture, InputSpec(64, 64))
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
    finally:
        manage(tiny_server, "DELETE", f"/brainseg/{version}")
        shutil.rmtree(folder)
        archive.unlink()
