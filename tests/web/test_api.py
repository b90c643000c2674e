"""The API against a whole server: the contract's answers and errors, and TorchServe's own turned into them."""

from __future__ import annotations

import base64
import hashlib
import io

import imagecodecs
import jsonschema
import numpy as np
import pytest
import requests
import tifffile

from prove.server import Server
from samples.phantom import draw
from tests.detector import expected_probability
from web.contract.fields import FIELDS, LONGEST_ACCEPT, LONGEST_VALUE
from web.contract.openapi import document

pytestmark = pytest.mark.server
OCTETS = {"Content-Type": "application/octet-stream"}


def post(door: str, data: bytes, query: str = "", **headers: str) -> requests.Response:
    sent = OCTETS | {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.post(f"{door}/api/v1/segment{query}", data=data, headers=sent, timeout=120)


def check(schema: str, body: object) -> None:
    jsonschema.Draft202012Validator(document() | {"$ref": f"#/components/schemas/{schema}"}).validate(body)


def assert_problem(reply: requests.Response, status: int, code: str) -> None:
    assert reply.status_code == status, reply.text
    assert reply.headers["Content-Type"] == "application/problem+json"
    check("Problem", reply.json())
    assert reply.json()["code"] == code
    assert reply.headers["X-Request-Id"]


def test_a_phantom_comes_back_as_the_network_must_see_it(door: str, lesion: bytes) -> None:
    answer = post(door, lesion, "?outputs=mask,overlay,probability").json()
    check("Segmentation", answer)
    wanted = expected_probability(imagecodecs.png_decode(lesion))
    images = {
        name: imagecodecs.png_decode(base64.b64decode(text)) for name, text in answer["slices"][0]["images"].items()
    }
    assert np.abs(images["probability"] / 65535 - wanted).max() < 1e-3
    assert answer["verdict"] == "tumor_detected"
    assert np.count_nonzero(images["mask"]) == answer["tumor_pixels"]
    truth = draw(1, lesion_radius=0.09).mask
    found = images["mask"] > 0
    assert 2 * np.count_nonzero(truth & found) / (truth.sum() + found.sum()) > 0.85


def test_the_front_door_says_what_torchserve_says(detector: Server, door: str, stack: bytes) -> None:
    ours = post(door, stack, "?threshold=0.42&outputs=mask").json()
    theirs = detector.post(stack, X_BrainSeg_Threshold="0.42", X_BrainSeg_Outputs="mask").json()
    assert {**ours, "timing_ms": 0} == {**theirs, "timing_ms": 0}


def test_healthy_and_a_version_by_name(door: str, healthy: bytes, lesion: bytes) -> None:
    assert post(door, healthy, "?outputs=none").json()["verdict"] == "no_tumor_detected"
    first, second = (post(door, lesion, f"?version={v}&outputs=none").json() for v in ("1.0", "2.0"))
    assert (first["model"]["version"], second["model"]["version"]) == ("1.0", "2.0")
    assert first["tumor_pixels"] > second["tumor_pixels"] > 0


def test_the_same_answer_raw_by_form_and_with_curls_default_type(door: str, lesion: bytes) -> None:
    url = f"{door}/api/v1/segment"
    raw = post(door, lesion, "?threshold=0.4&outputs=none").json()
    form = requests.post(url, files={"file": lesion}, data={"threshold": "0.4", "outputs": "none"}, timeout=120).json()
    curl = post(door, lesion, "?threshold=0.4&outputs=none", Content_Type="application/x-www-form-urlencoded").json()
    header = post(door, lesion, X_BrainSeg_Threshold="0.4", x_brainseg_outputs="none").json()
    assert len({str({**answer, "timing_ms": 0}) for answer in (raw, form, curl, header)}) == 1


def test_bare_masks(door: str, lesion: bytes, stack: bytes) -> None:
    reply = post(door, lesion, Accept="image/png")
    assert reply.headers["Content-Type"] == "image/png"
    assert reply.headers["X-BrainSeg-Verdict"] == "tumor_detected"
    assert set(np.unique(imagecodecs.png_decode(reply.content))) == {0, 255}
    pages = tifffile.imread(io.BytesIO(post(door, stack, Accept="image/tiff").content))
    assert pages.shape == (8, 256, 256)
    assert_problem(post(door, stack, Accept="image/png"), 406, "not_acceptable")
    assert post(door, stack, Accept="image/*").headers["Content-Type"] == "image/tiff"
    assert post(door, lesion, Accept="image/*").headers["Content-Type"] == "image/png"


def test_an_accept_too_long_for_torchserve_is_the_clients_fault(door: str, lesion: bytes) -> None:
    assert_problem(post(door, lesion, Accept="image/png, " * 900), 406, "not_acceptable")
    longest = ("image/png, " * 100)[:LONGEST_ACCEPT]
    assert post(door, lesion, Accept=longest, X_Request_Id="i" * 64).headers["Content-Type"] == "image/png"
    assert post(door, lesion, Accept="image/png, \xe9/\xff").headers["Content-Type"] == "image/png"
    fields = {f"X-BrainSeg-{name}": "1" * LONGEST_VALUE for name in FIELDS}
    assert_problem(post(door, lesion, Accept=longest, **fields), 400, "invalid_parameter")


def test_names_with_underscores_and_paths_with_two_slashes(door: str, lesion: bytes) -> None:
    sent = OCTETS | {"X-BrainSeg-min_lesion_pixels": "50"}
    answer = requests.post(f"{door}//api/v1/segment?outputs=none", data=lesion, headers=sent, timeout=120).json()
    assert answer["min_lesion_pixels"] == 50


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("?threshold=2", 400, "invalid_parameter"),
        ("?threshold=0.5&threshold=0.6", 400, "invalid_parameter"),
        ("?colour=red", 400, "invalid_parameter"),
        ("?slices=3-9", 400, "invalid_parameter"),
        ("?version=9.9", 404, "model_not_found"),
        ("?version=..%2f..", 404, "model_not_found"),
    ],
)
def test_refused_settings(door: str, lesion: bytes, query: str, status: int, code: str) -> None:
    assert_problem(post(door, lesion, query), status, code)


def test_refused_scans(door: str, lesion: bytes) -> None:
    assert_problem(post(door, b""), 400, "empty_body")
    assert_problem(post(door, b"GIF89a"), 415, "unsupported_format")
    assert_problem(post(door, b'{"a": 1}', Content_Type="application/json"), 415, "unsupported_format")
    assert_problem(post(door, lesion[:2000]), 422, "corrupt_image")
    assert_problem(post(door, b"x=1", Content_Type="application/x-www-form-urlencoded"), 400, "no_image")
    assert_problem(post(door, lesion, Content_Encoding="gzip"), 415, "unsupported_format")
    assert_problem(
        requests.post(f"{door}/api/v1/segment", files={"image": lesion}, timeout=120), 400, "invalid_parameter"
    )


def test_paths_and_methods_that_are_not_there(door: str) -> None:
    assert_problem(requests.get(f"{door}/nothing", timeout=120), 404, "not_found")
    reply = requests.get(f"{door}/api/v1/segment", timeout=120)
    assert_problem(reply, 405, "method_not_allowed")
    assert "POST" in reply.headers["Allow"]


def test_the_request_id_goes_in_through_and_out(detector: Server, door: str, lesion: bytes) -> None:
    mine = "ward-7.scan_" + hashlib.sha256(lesion).hexdigest()[:8]
    assert post(door, lesion, "?outputs=none", X_Request_Id=mine).headers["X-Request-Id"] == mine
    replaced = post(door, lesion, "?outputs=none", X_Request_Id="a b<script>").headers["X-Request-Id"]
    assert len(replaced) == 32
    assert f"id={mine} " in (detector.state / "logs" / "web.log").read_text()


def test_nothing_of_a_scan_or_its_name_is_logged(detector: Server, door: str, lesion: bytes) -> None:
    requests.post(f"{door}/api/v1/segment", files={"file": ("DOE^JANE.png", lesion)}, timeout=120).raise_for_status()
    log = (detector.state / "logs" / "web.log").read_text()
    assert "JANE" not in log
    assert "segment id=" in log


def test_models_status_and_documents(door: str) -> None:
    models = requests.get(f"{door}/api/v1/models", timeout=120).json()
    check("Models", models)
    assert models["default"] == "1.0"
    assert [one["version"] for one in models["versions"]] == ["1.0", "2.0"]
    assert all(one["card"]["name"] == "brainseg" for one in models["versions"])
    assert requests.get(f"{door}/livez", timeout=120).json() == {"status": "alive"}
    check("Readiness", requests.get(f"{door}/readyz", timeout=120).json())
    assert requests.get(f"{door}/api/v1/openapi.json", timeout=120).json() == document()


def test_metrics_count_requests_by_code(door: str, lesion: bytes) -> None:
    line = 'brainseg_front_requests_total{code="unsupported_format",route="api.segment"} '

    def count() -> float:
        text = requests.get(f"{door}/metrics", timeout=120).text
        return float(next((one.removeprefix(line) for one in text.splitlines() if one.startswith(line)), "0"))

    before = count()
    post(door, b"no picture")
    assert count() == before + 1


def test_every_metric_says_what_it_is(detector: Server, door: str, lesion: bytes) -> None:
    assert post(door, lesion, "?outputs=none").ok
    pages = [requests.get(url, timeout=120).text for url in (f"{door}/metrics", detector.metrics)]
    for page in pages:
        kinds = {line.split()[2] for line in page.splitlines() if line.startswith("# TYPE")}
        told = {line.split()[2] for line in page.splitlines() if line.startswith("# HELP") and len(line.split()) > 3}
        assert kinds
        assert kinds == told
    assert 'brainseg_front_segmentations_total{code="ok",model_version="1.0"}' in pages[0]


def test_every_answer_carries_the_security_headers(door: str) -> None:
    for path in ("/", "/static/main.js", "/livez", "/nothing", "/samples/lesion.png"):
        headers = requests.get(door + path, timeout=120).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "Server" not in headers
        assert headers.get("Access-Control-Allow-Origin") is None


def test_the_tokens_may_be_renewed_behind_its_back(detector: Server, door: str, lesion: bytes) -> None:
    """Whoever renews TorchServe's tokens must not lock the front door out."""
    for kind in ("inference", "management"):
        reply = requests.get(f"{detector.management}/token?type={kind}", headers=detector.auth("API"), timeout=120)
        assert reply.ok
        assert post(door, lesion, "?outputs=none").ok
        assert requests.get(f"{door}/api/v1/models", timeout=120).ok
