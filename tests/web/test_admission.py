"""Headers and paths as they come over the wire, where waitress would quietly make something else of them."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.web.inside import opened
from tests.web.standin import Stage, standing_in
from web.settings import Bounds, Settings

SCAN = b"\x89PNG\r\n\x1a\n"
KEY = "ward-0123456789abcdefghij"
PATHS = ["/api/v1/segment", "//api/v1/segment", "///api/v1/segment", "/%2Fapi/v1/segment", "api/v1/segment"]


@pytest.fixture
def stage() -> Iterator[Stage]:
    with standing_in(Stage()) as stage:
        yield stage


@pytest.fixture
def settings(stage: Stage) -> Settings:
    return Settings(stage.url, stage.url, bounds=replace(Bounds(), request_bytes=1000))


@pytest.fixture
def port(settings: Settings) -> Iterator[int]:
    with opened(settings) as inside:
        yield inside.port


def exchange(port: int, *headers: str, path: str = PATHS[0], body: bytes = SCAN) -> tuple[int, str]:
    """Status and code of the answer to a request with exactly these headers beside Host and Content-Length."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", "Connection: close", *headers]
    with socket.create_connection(("127.0.0.1", port), timeout=120) as connection:
        connection.sendall("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, text = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(text).get("code", "ok")


def passed_on(stage: Stage) -> dict[str, str]:
    """The fields' headers that TorchServe got."""
    return {name: value for name, value in stage.headers.items() if name.lower().startswith("x-brainseg")}


@pytest.mark.parametrize("name", ["X-BrainSeg-min_lesion_pixels", "x-BRAINSEG-Min_Lesion-Pixels"])
def test_a_fields_name_may_have_underscores(stage: Stage, port: int, name: str) -> None:
    assert exchange(port, f"{name}: 50") == (200, "ok")
    assert passed_on(stage) == {"X-BrainSeg-Min-Lesion-Pixels": "50"}


@pytest.mark.parametrize(
    "headers",
    [
        ("X-BrainSeg-Nonsense_x: 1",),
        ("X-BrainSeg-_: 1",),
        ("X-BrainSeg-min_lesion_pixels: 50", "X-BrainSeg-Min-Lesion-Pixels: 50"),
        ("X-BrainSeg-min_lesion_pixels: 50", "X-BrainSeg-Min_lesion-Pixels: 60"),
        ("X-BrainSeg-Threshold: 0.4", "x-brainseg-threshold: 0.4"),
    ],
)
def test_an_unknown_or_doubled_name_is_refused_in_either_spelling(
    stage: Stage, port: int, headers: tuple[str, ...]
) -> None:
    assert exchange(port, *headers) == (400, "invalid_parameter")
    assert stage.predicted() == 0


def test_other_names_with_underscores_are_dropped_as_ever(stage: Stage, port: int) -> None:
    """``Content_Length`` must not become ``Content-Length``, nor one key another; neither may a folded line, which
    belongs to the value before it, become a field."""
    others = ("Content_Length: 3", "X_BrainSeg_Threshold: 0.4", "X_BrainSeg-Threshold: 0.4", "X_Request_Id: mine")
    assert exchange(port, *others, "Accept: image/png,", " X-BrainSeg-min_lesion_pixels: 50") == (200, "ok")
    assert passed_on(stage) == {}
    assert stage.headers["Accept"].endswith("X-BrainSeg-min_lesion_pixels: 50")
    assert stage.headers["X-Request-Id"] != "mine"


@pytest.mark.parametrize("path", PATHS)
def test_slashes_at_the_front_of_the_path(port: int, path: str) -> None:
    """They come of a base URL with a slash at its end; waitress and Flask take them for one."""
    assert exchange(port, path=path) == (200, "ok")
    assert exchange(port, path=path, body=b"") == (400, "empty_body")
    assert exchange(port, path=path, body=bytes(1001)) == (413, "too_large")
    assert exchange(port, "X-BrainSeg-Slices: 1", "X-BrainSeg-Slices: 1", path=path) == (400, "invalid_parameter")


class TestWithKeys:
    @pytest.fixture
    def settings(self, stage: Stage, tmp_path: Path) -> Settings:
        (tmp_path / "keys").write_text(f"ward {KEY}\n")
        return Settings(stage.url, stage.url, api_keys=tmp_path / "keys")

    @pytest.mark.parametrize("path", PATHS)
    def test_no_spelling_of_the_path_goes_round_them(self, stage: Stage, port: int, path: str) -> None:
        assert exchange(port, path=path) == (401, "unauthorized")
        assert stage.predicted() == 0
        assert exchange(port, f"Authorization: Bearer {KEY}", path=path) == (200, "ok")
