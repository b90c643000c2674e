"""KServe's own clients, which nobody here wrote: the same masks as REST."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from archive.store import SAMPLES
from samples.make import LESION
from serving.ports import free_port
from tests.conftest import StartFront
from tests.web.open_inference.environment import environment_with, run
from tests.web.open_inference.test_triton import rest

SCRIPT = Path(__file__).parent / "kserve_client.py"
# 37 has no module that kserve imports.
KSERVE = ("kserve==0.21.0", "kubernetes<37")
pytestmark = [pytest.mark.server, pytest.mark.long]  # 410 MB to install


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_kserves_client_sees_the_masks_of_rest(kind: str, start_front: StartFront, tmp_path: Path) -> None:
    port = free_port()
    door = start_front("--grpc-port", str(port)).url
    ours = rest(door, "&threshold=0.4&gate=off")  # a prediction, by which the server is ready
    address = f"127.0.0.1:{port}" if kind == "grpc" else door.removeprefix("http://")
    run(environment_with(*KSERVE), SCRIPT, kind, address, SAMPLES / LESION, tmp_path / "seen")
    seen, found = json.loads((tmp_path / "seen.json").read_text()), np.load(tmp_path / "seen.npz")
    for name in ("mask", *(["json"] if kind == "http" else [])):
        assert np.array_equal(found[name], ours["mask"]), name
    assert np.array_equal(found["probability"], ours["probability"].astype(np.float32) / np.float32(65535))
    assert seen["measurements"]["threshold"] == 0.4
    assert seen["measurements"]["tumor_pixels"] == np.count_nonzero(ours["mask"])
    assert (seen["live"], seen["ready"], seen["model_ready"], seen["id"]) == (True, True, True, "ward-7")
    assert "model_not_found" in seen["refused"]
