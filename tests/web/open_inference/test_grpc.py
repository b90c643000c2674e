"""The protocol over gRPC: NVIDIA's client sees what REST gives; health, keys, limits and refusals."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import requests
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from archive.store import ROOT, SAMPLES
from prove.server import environment
from samples.make import LESION
from serving.ports import free_port
from tests.waiting import until
from tests.web.inside import Inside, opened
from tests.web.open_inference.environment import environment_with, run
from tests.web.open_inference.test_found import MASK, answer
from tests.web.open_inference.test_triton import SCRIPT, TRITON
from tests.web.standin import Stage, standing_in
from web.contract.fields import MIB, RefusedError
from web.open_inference.calls import read_call
from web.open_inference.listen import Port
from web.open_inference.messages import MESSAGES, SERVICE
from web.settings import Bounds, Settings

KEY = "k" * 32


def infer(scan: bytes, model: str = "brainseg", version: str = "", **parameters: Any) -> Any:
    request = MESSAGES["ModelInferRequest"](model_name=model, model_version=version)
    request.inputs.add(name="scan", datatype="BYTES", shape=[1])
    request.outputs.add(name="measurements")
    request.raw_input_contents.append(struct.pack("<I", len(scan)) + scan)
    for name, value in parameters.items():
        request.parameters[name].string_param = value
    return request


def call(port: int, name: str, request: Any, *metadata: tuple[str, str]) -> Any:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        method = channel.unary_unary(
            f"/{SERVICE}/{name}", type(request).SerializeToString, MESSAGES[f"{name}Response"].FromString
        )
        return method(request, metadata=metadata, timeout=120)


def refused(port: int, request: Any, *metadata: tuple[str, str]) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(port, "ModelInfer", request, *metadata)
    return caught.value.code().name, caught.value.details().partition(":")[0]


def test_a_message_in_both_ways() -> None:
    request = infer(b"scan", gate="off")
    request.parameters["threshold"].double_param = 0.4
    asked = read_call(MESSAGES["ModelInferRequest"].FromString(request.SerializeToString()))
    assert bytes(asked.scan) == b"scan"
    assert asked.fields == {"gate": "off", "threshold": "0.4"}
    del request.raw_input_contents[:]
    request.inputs[0].contents.bytes_contents.append(b"other")
    assert read_call(request).scan == b"other"
    for spoil in ({"inputs": []}, {"inputs": [*request.inputs] * 2}):
        with pytest.raises(RefusedError):
            read_call(MESSAGES["ModelInferRequest"](**spoil))
    request.raw_input_contents.append(b"")
    with pytest.raises(RefusedError):
        read_call(request)


def test_the_messages_are_plain_protobuf() -> None:
    told = descriptor_pb2.DescriptorProto()
    MESSAGES["InferParameter"].DESCRIPTOR.CopyToProto(told)
    assert {field.name: (field.number, field.oneof_index) for field in told.field} == {
        "bool_param": (1, 0), "int64_param": (2, 0), "string_param": (3, 0), "double_param": (4, 0),
        "uint64_param": (5, 0),
    }  # fmt: skip


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "grpc.py").write_text("raise ImportError(name='grpc')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import web.server; "
    code += f"sys.exit(web.server.main(['--port', '{free_port()}', '--grpc-port', '{free_port()}']))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "brainseg[grpc]" in done.stderr


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Answers every scan with one mask."""
    with standing_in(Stage([(200, "application/json", json.loads(answer()))], versions=("1.0", "2.0"))) as stage:
        yield stage


@contextmanager
def listening(stage: Stage, keys: Path | None = None, rate: int = 0) -> Iterator[tuple[Inside, Port]]:
    bounds = Bounds(rate_per_minute=rate)
    with opened(Settings(stage.url, stage.url, api_keys=keys, bounds=bounds)) as inside:
        port = Port(inside.door, "127.0.0.1", 0)
        try:
            yield inside, port
        finally:
            port.end(30)


def test_tritons_client_sees_the_masks_of_rest(stage: Stage, tmp_path: Path) -> None:
    with listening(stage) as (inside, port):
        http = f"{inside.url}/v2/models/brainseg/infer"
        raw = {"Inference-Header-Content-Length": "0"}
        told = requests.post(http, data=(SAMPLES / LESION).read_bytes(), headers=raw, timeout=120)
        assert told.ok, told.text  # a prediction, by which the server is ready
        with grpc.insecure_channel(f"127.0.0.1:{port.number}") as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            serving = health_pb2.HealthCheckResponse.SERVING
            for service in ("", SERVICE):
                until(
                    lambda name=service: stub.Check(health_pb2.HealthCheckRequest(service=name)).status == serving,
                    "health does not say SERVING",
                )
        run(environment_with(TRITON), SCRIPT, "grpc", f"127.0.0.1:{port.number}", SAMPLES / LESION, tmp_path / "seen")
    seen, found = json.loads((tmp_path / "seen.json").read_text()), np.load(tmp_path / "seen.npz")
    assert found["binary"].tobytes() in told.content
    assert found["probability"].tobytes() in told.content
    assert found["binary"][0].tolist() == MASK.tolist()
    sent = {name.lower(): value for name, value in stage.headers.items()}
    assert sent["x-brainseg-outputs"] == "mask,probability"
    paths = [path for _, path, _ in stage.seen if path.startswith("/predictions")]
    assert "/predictions/brainseg/2.0" in paths
    assert (seen["live"], seen["ready"], seen["model_ready"], seen["version_ready"]) == (True,) * 4
    assert (seen["server"], seen["versions"], seen["id"]) == ("brainseg", ["1.0", "2.0"], "ward-7")
    assert seen["shapes"]["probability"] == ["FP32", [-1, -1, -1]]
    assert seen["refused"][0][0] == "StatusCode.NOT_FOUND"


def test_the_model_that_is_named_is_asked(stage: Stage, lesion: bytes) -> None:
    name = "brainseg-regions"
    with listening(stage) as (_, opened_port):
        port = opened_port.number
        found = call(port, "ModelInfer", infer(lesion, name, version="2.0"))
        assert found.model_name == name
        assert ("POST", f"/predictions/{name}/2.0") in [one[:2] for one in stage.seen]
        told = call(port, "ModelMetadata", MESSAGES["ModelMetadataRequest"](name=name))
        assert (told.name, list(told.versions)) == (name, ["1.0", "2.0"])
        assert call(port, "ModelReady", MESSAGES["ModelReadyRequest"](name=name)).ready
        stage.absent = (name,)
        assert refused(port, infer(lesion, name)) == ("NOT_FOUND", "model_not_found")
        assert refused(port, infer(lesion, "brainseg-types")) == ("NOT_FOUND", "model_not_found")


def test_keys_limits_and_refusals(stage: Stage, lesion: bytes, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"ward {KEY}\n")
    file.chmod(0o600)
    key = ("authorization", f"Bearer {KEY}")
    with listening(stage, file, rate=30) as (_, opened_port):
        port = opened_port.number
        assert refused(port, infer(lesion)) == ("UNAUTHENTICATED", "unauthorized")
        assert refused(port, infer(lesion), ("authorization", "Bearer other")) == ("UNAUTHENTICATED", "unauthorized")
        assert refused(port, infer(lesion, version="9.9"), key) == ("NOT_FOUND", "model_not_found")
        assert refused(port, infer(lesion, colour="red"), key) == ("INVALID_ARGUMENT", "invalid_parameter")
        assert refused(port, infer(bytes(66 * MIB)), key)[0] == "RESOURCE_EXHAUSTED"
        reply = call(port, "ModelInfer", infer(lesion), key)
        assert json.loads(reply.raw_output_contents[0][4:])["verdict"] == "tumor_detected"
        assert call(port, "ServerLive", MESSAGES["ServerLiveRequest"]()).live
        with pytest.raises(grpc.RpcError):
            call(port, "ModelMetadata", MESSAGES["ModelMetadataRequest"](name="brainseg"))
        codes = {refused(port, infer(b"", model="other"), key) for _ in range(8)}
        assert ("RESOURCE_EXHAUSTED", "rate_limited") in codes
