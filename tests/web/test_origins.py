"""Web pages elsewhere and proxies: kept out of the open door, and let in by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from prove.slow import PATIENCE, ask_and_go, head, read_answer
from tests.web.inside import Inside, opened
from tests.web.standin import Stage, standing_in
from web.access.origins import Origins
from web.app import create_app
from web.settings import Settings

SCAN = b"\x89PNG\r\n\x1a\n"
VIEWER = "https://viewer.example:8443"
KEY = "ward-0123456789abcdefghij"


@pytest.fixture
def stage() -> Iterator[Stage]:
    with standing_in(Stage()) as stage:
        yield stage


@pytest.fixture
def inside(stage: Stage) -> Iterator[Inside]:
    with opened(Settings(stage.url, stage.url)) as inside:
        yield inside


def post(inside: Inside, **headers: str) -> requests.Response:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.post(f"{inside.url}/api/v1/segment", data=SCAN, headers=sent, timeout=PATIENCE)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},  # another port of this machine
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "null"},
        {"X_Forwarded_For": "10.0.0.1"},
        {"X_Forwarded_Proto": "https"},
        {"Forwarded": "for=10.0.0.1"},
        {"X_Real_IP": "10.0.0.1"},
    ],
)
def test_pages_elsewhere_and_proxies_are_refused_while_open(
    stage: Stage, inside: Inside, headers: dict[str, str]
) -> None:
    reply = post(inside, **headers)
    assert (reply.status_code, reply.json()["code"]) == (401, "unauthorized")
    assert "--api-keys FILE" in reply.json()["detail"]
    assert stage.predicted() == 0
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    assert requests.get(f"{inside.url}/api/v1/models", headers=sent, timeout=PATIENCE).status_code == 401


@pytest.mark.parametrize("headers", [{}, {"Sec_Fetch_Site": "same-origin"}, {"Sec_Fetch_Site": "none"}])
def test_programs_and_the_own_page_come_in(inside: Inside, headers: dict[str, str]) -> None:
    assert post(inside, **headers).status_code == 200
    assert post(inside, Origin=inside.url, **headers).status_code == 200


def test_with_keys_a_proxy_may_stand_before_it(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"ward {KEY}\n")
    with opened(Settings(stage.url, stage.url, api_keys=tmp_path / "keys")) as inside:
        assert post(inside, X_Forwarded_For="10.0.0.1", Authorization=f"Bearer {KEY}").status_code == 200


def test_no_redirect_goes_to_the_host_that_a_request_names() -> None:
    client = create_app(Settings()).test_client()
    for path in ("/samples", "/samples/", "/static/", "/api/v1/models/", "/livez/", "/readyz/"):
        reply = client.get(path, headers={"Host": "evil.example"})
        assert reply.status_code not in range(300, 400), path
        assert "evil.example" not in str(reply.headers)


def test_by_default_no_page_is_let_in(inside: Inside) -> None:
    asked = {"Origin": VIEWER, "Access-Control-Request-Method": "POST"}
    reply = requests.options(f"{inside.url}/api/v1/segment", headers=asked, timeout=PATIENCE)
    assert not [name for name in reply.headers if name.startswith("Access-Control")]


def test_a_page_that_is_named_is_let_in_and_no_other(stage: Stage) -> None:
    with opened(Settings(stage.url, stage.url, origins=(VIEWER,))) as inside:
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-brainseg-threshold"}
        preflight = requests.options(
            f"{inside.url}/api/v1/segment", headers={"Origin": VIEWER, **asked}, timeout=PATIENCE
        )
        assert preflight.status_code == 204
        assert preflight.headers["Access-Control-Allow-Origin"] == VIEWER
        assert "x-brainseg-threshold" in preflight.headers["Access-Control-Allow-Headers"].lower()
        assert post(inside, Origin=VIEWER, Sec_Fetch_Site="cross-site").headers["Access-Control-Allow-Origin"] == VIEWER
        too_much = head(f"Origin: {VIEWER}", "Expect: 100-continue", size=2**40)
        with ask_and_go(inside.port, too_much) as refused:  # at the door, before the application
            status, headers, _ = read_answer(refused)
            assert (status, headers["access-control-allow-origin"]) == (413, VIEWER)
        for other in ("https://viewer.example", "http://viewer.example:8443", f"{VIEWER}.evil.example", "null"):
            reply = post(inside, Origin=other, Sec_Fetch_Site="cross-site")
            assert reply.status_code == 401
            assert "Access-Control-Allow-Origin" not in reply.headers
            assert reply.headers["Vary"] == "Origin"


@pytest.mark.parametrize("path", ["/v2/models/brainseg/infer", "/v2", "/api/v1/jobs", "/api/v1/jobs/scan"])
def test_every_api_answers_a_page_that_is_named(stage: Stage, path: str) -> None:
    client = create_app(Settings(stage.url, stage.url, origins=(VIEWER,))).test_client()
    asked = {"Origin": VIEWER, "Access-Control-Request-Method": "PUT"}
    told = client.options(path, headers=asked).headers
    assert told["Access-Control-Allow-Origin"] == VIEWER
    sent = told["Access-Control-Allow-Headers"].lower()
    for name in ("inference-header-content-length", "idempotency-key", "last-event-id", "x-brainseg-webhook"):
        assert name in sent
    assert {"PUT", "DELETE"} <= set(told["Access-Control-Allow-Methods"].split(", "))
    assert "Location" in told["Access-Control-Expose-Headers"]
    other = client.options(path, headers={**asked, "Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in other.headers
    plain = create_app(Settings(stage.url, stage.url)).test_client().options(path, headers=asked)
    assert not [name for name, _ in plain.headers if name.startswith("Access-Control")]


@pytest.mark.parametrize("wrong", ["*", "null", "viewer.example", "https://viewer.example/", "https://*.example", ""])
def test_an_origin_is_exact(wrong: str) -> None:
    with pytest.raises(ValueError, match="exactly"):
        Origins([wrong])
