"""The protocol against a whole server, by hand: health, metadata, errors, keys and what HTTP brings."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.conftest import StartFront

pytestmark = pytest.mark.server
INFER = "/v2/models/brainseg/infer"
KEY = "k" * 32


def asked(scan: bytes, *outputs: str, **parameters: object) -> bytes:
    entry = {"name": "scan", "datatype": "BYTES", "shape": [1], "data": [base64.b64encode(scan).decode()]}
    names = [{"name": name} for name in outputs]
    return json.dumps({"inputs": [entry], "outputs": names, "parameters": parameters}).encode()


def post(door: str, body: bytes, path: str = INFER, **headers: str) -> requests.Response:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.post(door + path, data=body, headers=sent, timeout=120)


def measurements(reply: requests.Response) -> dict[str, Any]:
    assert reply.ok, reply.text
    return json.loads({one["name"]: one for one in reply.json()["outputs"]}["measurements"]["data"][0])


def assert_error(reply: requests.Response, status: int, code: str) -> None:
    assert reply.status_code == status, reply.text
    assert reply.headers["Content-Type"] == "application/json"
    assert list(reply.json()) == ["error"]
    assert reply.json()["error"].startswith(f"{code}: ")
    assert reply.headers["X-Request-Id"]


def test_health_and_metadata(door: str, lesion: bytes) -> None:
    assert post(door, asked(lesion, "measurements")).ok  # a version that has answered is ready
    for path in ("/v2/health/live", "/v2/health/ready"):
        assert requests.get(door + path, timeout=120).json() == {"live": True, "ready": True}
    server = requests.get(f"{door}/v2", timeout=120).json()
    assert server == {"name": "brainseg", "version": "1", "extensions": ["binary_tensor_data"]}
    told = requests.get(f"{door}/v2/models/brainseg", timeout=120).json()
    assert requests.get(f"{door}/v2/models/brainseg/versions/2.0", timeout=120).json() == told
    assert told["versions"] == ["1.0", "2.0"]
    assert [(one["name"], one["datatype"], one["shape"]) for one in told["inputs"]] == [("scan", "BYTES", [1])]
    assert {one["name"]: (one["datatype"], len(one["shape"])) for one in told["outputs"]} == {
        "mask": ("UINT8", 3), "probability": ("FP32", 3), "measurements": ("BYTES", 1),
    }  # fmt: skip
    assert "base64" in told["inputs"][0]["parameters"]["about"]
    for path in ("/v2/models/brainseg/ready", "/v2/models/brainseg/versions/2.0/ready"):
        assert requests.get(door + path, timeout=120).json()["ready"] is True


def test_the_measurements_are_those_of_rest(door: str, lesion: bytes) -> None:
    rest = requests.post(f"{door}/api/v1/segment?outputs=none&threshold=0.4&version=2.0", data=lesion, timeout=120)
    ours = measurements(
        post(door, asked(lesion, "measurements", threshold=0.4), "/v2/models/brainseg/versions/2.0/infer")
    )
    assert {**ours, "timing_ms": 0} == {**rest.json(), "timing_ms": 0}


def test_packed_and_without_a_content_type(door: str, lesion: bytes) -> None:
    body = asked(lesion, "measurements")
    packed = (("gzip", gzip.compress(body)), ("deflate", zlib.compress(body)))
    for name, data in packed:
        assert measurements(post(door, data, Content_Encoding=name))["verdict"] == "tumor_detected"
    raw = post(door, lesion, Inference_Header_Content_Length="0", Content_Type="application/octet-stream")
    assert raw.headers["Inference-Header-Content-Length"]
    assert post(door, gzip.compress(bytes(70 * 2**20)), Content_Encoding="gzip").status_code == 413
    assert requests.get(f"{door}/livez", timeout=120).ok


def test_refusals_have_the_protocols_form_and_our_status(door: str, lesion: bytes) -> None:
    assert_error(post(door, b""), 400, "empty_body")
    assert_error(post(door, b"{"), 400, "bad_request")
    assert_error(post(door, lesion), 400, "bad_request")
    assert_error(post(door, asked(b"GIF89a")), 415, "unsupported_format")
    assert_error(post(door, asked(lesion[:2000])), 422, "corrupt_image")
    assert_error(post(door, asked(lesion, threshold=2)), 400, "invalid_parameter")
    assert_error(post(door, asked(lesion), "/v2/models/other/infer"), 404, "model_not_found")
    assert_error(
        post(door, json.dumps(json.loads(asked(lesion)) | {"model_name": "other"}).encode()), 404, "model_not_found"
    )
    assert_error(post(door, asked(lesion), "/v2/models/brainseg/versions/9.9/infer"), 404, "model_not_found")
    assert_error(post(door, asked(lesion), Content_Encoding="br"), 415, "unsupported_format")
    assert_error(post(door, asked(lesion), Inference_Header_Content_Length="x"), 400, "bad_request")
    assert_error(requests.get(f"{door}{INFER}", timeout=120), 405, "method_not_allowed")
    for path in ("/v2/nothing", "/v2/models/other", "/v2/models/other/ready", "/v2/models/brainseg/versions/9.9"):
        code = "not_found" if path == "/v2/nothing" else "model_not_found"
        assert_error(requests.get(door + path, timeout=120), 404, code)


def test_keys_and_quotas_are_those_of_rest(start_front: StartFront, lesion: bytes, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"ward {KEY}\n")
    file.chmod(0o600)
    door = start_front("--api-keys", str(file), "--rate", "6").url
    body = asked(lesion, "measurements")
    assert_error(post(door, body), 401, "unauthorized")
    assert requests.get(f"{door}/v2/models/brainseg", timeout=120).status_code == 401
    for path in ("/v2", "/v2/health/live"):
        assert requests.get(door + path, timeout=120).ok
    with_key = {"Authorization": f"Bearer {KEY}"}
    assert measurements(post(door, body, **with_key))["verdict"] == "tumor_detected"
    again = post(door, body, **with_key)
    assert_error(again, 429, "rate_limited")
    assert int(again.headers["Retry-After"]) > 0
    text = requests.get(f"{door}/metrics", headers=with_key, timeout=120).text
    assert 'brainseg_front_requests_total{code="ok",route="open.infer"} 1.0' in text
    assert 'brainseg_front_segmentations_total{code="ok",model_version="1.0"} 1.0' in text
