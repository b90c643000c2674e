"""A page of another origin and the API, as a browser has it: kept out, and let in by name. Real network, real Chromium;
the door stands in this process, before a stand-in for TorchServe."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.web.inside import opened
from tests.web.standin import Stage, standing_in
from web.settings import Settings

pytestmark = pytest.mark.browser
KEY = "ward-0123456789abcdefghij"
# As a viewer would ask: with a key and a field, which a browser asks leave for first.
ASK = """async ([url, headers]) => {
  try {
    const reply = await fetch(url + "/api/v1/segment", {
      method: "POST", headers, body: Uint8Array.from([137, 80, 78, 71, 13, 10, 26, 10]),
    });
    return [reply.status, (await reply.json()).tumor_pixels ?? null, reply.headers.get("X-Request-Id") !== null];
  } catch (error) {
    return [error.name];
  }
}"""
SIMPLE = {"Content-Type": "text/plain"}  # which a browser sends to anybody, unasked
FULL = {"Content-Type": "image/png", "X-BrainSeg-Threshold": "0.4", "Authorization": f"Bearer {KEY}"}


class Viewer(BaseHTTPRequestHandler):
    """Somebody's page: empty, and of another origin than the door."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


@contextmanager
def viewer() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Viewer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


Ask = Callable[[str, str, dict[str, str]], Any]


@pytest.fixture
def ask(browser: Browser) -> Iterator[Ask]:
    """What a page of an origin gets from a door."""
    context = browser.new_context()

    def one(origin: str, door: str, headers: dict[str, str]) -> Any:
        page = context.new_page()
        page.goto(origin)
        return page.evaluate(ASK, [door, headers])

    yield one
    context.close()


@pytest.mark.parametrize("keys", [False, True], ids=["open", "keys"])
def test_a_page_elsewhere_is_kept_out_and_let_in_by_name(keys: bool, ask: Ask, tmp_path: Path) -> None:
    with ExitStack() as stack:
        stage = stack.enter_context(standing_in(Stage()))
        mine, other = stack.enter_context(viewer()), stack.enter_context(viewer())
        file = tmp_path / "keys"
        file.write_text(f"ward {KEY}\n")
        file.chmod(0o600)
        settings = {"api_keys": file if keys else None}
        shut = stack.enter_context(opened(Settings(stage.url, stage.url, **settings))).url  # type: ignore[arg-type]
        for headers in (SIMPLE, FULL):
            assert ask(mine, shut, headers) == ["TypeError"]
        assert stage.predicted() == 0
        named = Settings(stage.url, stage.url, origins=(mine,), **settings)  # type: ignore[arg-type]
        door = stack.enter_context(opened(named)).url
        assert ask(mine, door, FULL) == [200, 5, True]
        assert stage.headers["X-BrainSeg-Threshold"] == "0.4"
        before = stage.predicted()
        for headers in (SIMPLE, FULL):
            assert ask(other, door, headers) == ["TypeError"]
        assert stage.predicted() == before
