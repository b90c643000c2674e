"""NVIDIA's client, which nobody here wrote: the same masks as REST, over HTTP and over gRPC."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import grpc
import imagecodecs
import numpy as np
import pytest
import requests
from grpc_health.v1 import health_pb2, health_pb2_grpc

from archive.store import SAMPLES
from samples.make import LESION
from serving.ports import free_port
from tests.conftest import StartFront
from tests.waiting import until
from tests.web.open_inference.environment import environment_with, run
from web.open_inference.messages import SERVICE

pytestmark = pytest.mark.server
TRITON = "tritonclient[http,grpc]==2.73.0"
SCRIPT = Path(__file__).parent / "triton_client.py"


def rest(door: str, query: str = "") -> dict[str, np.ndarray]:
    url = f"{door}/api/v1/segment?outputs=mask,probability{query}"
    answer = requests.post(url, data=(SAMPLES / LESION).read_bytes(), timeout=120).json()
    images = answer["slices"][0]["images"]
    return {name: imagecodecs.png_decode(base64.b64decode(text))[None] for name, text in images.items()}


def check_same_masks(door: str, seen: dict[str, Any], found: Any, forms: tuple[str, ...]) -> None:
    """``seen``, ``found``: what the client wrote; ``door``: whose REST gives the masks to compare with."""
    ours = rest(door)
    for name in forms:
        assert np.array_equal(found[name], ours["mask"]), name
    assert np.array_equal(found["probability"], ours["probability"].astype(np.float32) / np.float32(65535))
    assert np.array_equal(found["named"], rest(door, "&version=2.0&threshold=0.4&gate=off")["mask"])
    assert (seen["named"]["model"]["version"], seen["named"]["threshold"]) == ("2.0", 0.4)
    assert seen["measurements"]["tumor_pixels"] == np.count_nonzero(ours["mask"])
    assert (seen["live"], seen["ready"], seen["model_ready"], seen["version_ready"]) == (True,) * 4
    assert (seen["server"], seen["versions"], seen["id"]) == ("brainseg", ["1.0", "2.0"], "ward-7")
    assert seen["shapes"]["mask"] == ["UINT8", [-1, -1, -1]]


def test_over_http(door: str, tmp_path: Path) -> None:
    run(environment_with(TRITON), SCRIPT, "http", door.removeprefix("http://"), SAMPLES / LESION, tmp_path / "seen")
    seen, found = json.loads((tmp_path / "seen.json").read_text()), np.load(tmp_path / "seen.npz")
    check_same_masks(door, seen, found, ("binary", "gzip", "deflate", "json"))
    assert np.abs(found["json_probability"] - found["probability"]).max() < 1e-6
    assert seen["unknown_ready"] is False
    codes = [(status, message.partition(":")[0]) for status, message in seen["refused"]]
    assert codes == [("404", "model_not_found"), ("415", "unsupported_format"), ("422", "corrupt_image")]


def test_over_grpc(start_front: StartFront, tmp_path: Path) -> None:
    """Before the real TorchServe; gRPC's own health service says the same as ``/readyz``."""
    port = free_port()
    door, address = start_front("--grpc-port", str(port)).url, f"127.0.0.1:{port}"
    rest(door)  # a prediction, by which the server is ready
    with grpc.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        serving = health_pb2.HealthCheckResponse.SERVING
        until(lambda: stub.Check(health_pb2.HealthCheckRequest(service=SERVICE)).status == serving, "never SERVING")
        with pytest.raises(grpc.RpcError) as unknown:
            stub.Check(health_pb2.HealthCheckRequest(service="other"))
        assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
    run(environment_with(TRITON), SCRIPT, "grpc", address, SAMPLES / LESION, tmp_path / "seen")
    seen, found = json.loads((tmp_path / "seen.json").read_text()), np.load(tmp_path / "seen.npz")
    check_same_masks(door, seen, found, ("binary",))
    codes = [(status, message.partition(":")[0]) for status, message in seen["refused"]]
    assert codes == [
        ("StatusCode.NOT_FOUND", "model_not_found"), ("StatusCode.INVALID_ARGUMENT", "unsupported_format"),
        ("StatusCode.INVALID_ARGUMENT", "corrupt_image"),
    ]  # fmt: skip
