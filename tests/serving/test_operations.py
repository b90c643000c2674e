"""TorchServe's own management calls, tokens and metrics, as the README documents them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from prove.releases import versioned
from prove.server import Server
from tests.waiting import until

pytestmark = pytest.mark.server


def manage(server: Server, method: str, path: str, **params: str) -> requests.Response:
    url = f"{server.management}/models{path}"
    return requests.request(method, url, params=params, headers=server.auth("management"), timeout=120)


@pytest.fixture(scope="module")
def second_version(tiny_server: Server, tiny_store: Path) -> Iterator[str]:
    """Archive 2.0 in the running server's model store."""
    versioned(tiny_store / "brainseg-1.0.mar", tiny_store / "brainseg-2.0.mar", "2.0")
    yield "2.0"
    manage(tiny_server, "PUT", "/brainseg/1.0/set-default")
    manage(tiny_server, "DELETE", "/brainseg/2.0")
    (tiny_store / "brainseg-2.0.mar").unlink()


def test_register_set_default_scale_unregister(tiny_server: Server, second_version: str, lesion: bytes) -> None:
    added = manage(tiny_server, "POST", "", url="brainseg-2.0.mar", initial_workers="1", synchronous="true")
    assert added.status_code == 200, added.text
    assert {entry["modelVersion"] for entry in tiny_server.describe()} == {"1.0", "2.0"}
    assert tiny_server.post(lesion).json()["model"]["version"] == "1.0"
    assert tiny_server.post(lesion, version="2.0").json()["model"]["version"] == "2.0"
    assert manage(tiny_server, "PUT", "/brainseg/2.0/set-default").status_code == 200
    assert tiny_server.post(lesion).json()["model"]["version"] == "2.0"
    scaled = manage(tiny_server, "PUT", "/brainseg/2.0", min_worker="2", max_worker="2", synchronous="true")
    assert scaled.status_code == 200, scaled.text
    assert len(tiny_server.describe("2.0")[0]["workers"]) == 2
    assert manage(tiny_server, "PUT", "/brainseg/1.0/set-default").status_code == 200
    assert manage(tiny_server, "DELETE", "/brainseg/2.0").status_code == 200
    assert tiny_server.post(lesion, version="2.0").status_code == 404


def test_archives_come_from_the_model_store_alone(tiny_server: Server, tmp_path: Path, tiny_store: Path) -> None:
    outside = shutil.copy(tiny_store / "brainseg-1.0.mar", tmp_path / "elsewhere.mar")
    for url in (f"file://{outside}", "https://example.org/brainseg-1.0.mar", "../brainseg-1.0.mar"):
        reply = manage(tiny_server, "POST", "", url=url, model_name="intruder")
        assert 400 <= reply.status_code < 500, (url, reply.status_code, reply.text)
    assert (
        requests.get(
            f"{tiny_server.management}/models/intruder", headers=tiny_server.auth("management"), timeout=120
        ).status_code
        == 404
    )


def test_each_port_wants_its_own_token(tiny_server: Server, lesion: bytes) -> None:
    assert requests.post(tiny_server.url, data=lesion, timeout=120).status_code == 400
    swapped = requests.post(tiny_server.url, data=lesion, headers=tiny_server.auth("management"), timeout=120)
    assert swapped.status_code == 400
    reply = requests.get(f"{tiny_server.management}/models", headers=tiny_server.auth("inference"), timeout=120)
    assert reply.status_code == 400
    assert tiny_server.key_file.stat().st_mode & 0o077 == 0


def test_a_token_can_be_rotated(tiny_server: Server, lesion: bytes) -> None:
    old = tiny_server.auth()
    url = f"{tiny_server.management}/token"
    reply = requests.get(url, params={"type": "inference"}, headers=tiny_server.auth("API"), timeout=120)
    assert reply.status_code == 200
    assert tiny_server.auth() != old
    assert tiny_server.post(lesion).status_code == 200
    assert requests.post(tiny_server.url, data=lesion, headers=old, timeout=120).status_code == 400


def test_metrics_count_outcomes_stages_verdicts_and_coverage(tiny_server: Server, lesion: bytes) -> None:
    assert tiny_server.post(lesion).status_code == 200
    assert tiny_server.post(b"nothing").status_code == 415
    wanted = (
        'brainseg_requests{model_version="1.0",code="ok"',
        'brainseg_requests{model_version="1.0",code="unsupported_format"',
        'brainseg_stage_seconds_bucket{model_version="1.0",stage="inference"',
        'brainseg_stage_seconds_count{model_version="1.0",stage="total"',
        "brainseg_verdicts{",
        "brainseg_tumor_coverage_percent_bucket{",
        "ts_inference_requests_total{",
    )
    # TorchServe reads the worker's counts from what that one prints, beside the answers.
    until(
        lambda: all(one in requests.get(tiny_server.metrics, timeout=120).text for one in wanted),
        f"not all of {wanted}",
    )


def test_describe_gives_the_model_card(tiny_server: Server) -> None:
    reply = manage(tiny_server, "GET", "/brainseg/1.0", customized="true").json()[0]
    assert reply["customizedMetadata"]["version"] == "1.0"
    assert {known["sample"] for known in reply["customizedMetadata"]["known_answers"]} == {
        "lesion.png",
        "healthy.png",
        "stack.tiff",
    }


def test_no_token_in_any_log(tiny_server: Server) -> None:
    tokens = [
        tiny_server.auth(kind)["Authorization"].removeprefix("Bearer ") for kind in ("inference", "management", "API")
    ]
    logs = [tiny_server.output, *(tiny_server.state / "logs").iterdir()]
    text = "".join(path.read_text(errors="replace") for path in logs)
    assert len(text) > 100
    assert not [token for token in tokens if token in text]
