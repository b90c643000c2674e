"""The log: appended, rolled, one line a request, and nothing in it that is anybody's."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from prove.slow import PATIENCE, ask_and_go, head, read_answer
from tests.web.inside import opened
from tests.web.standin import Stage, standing_in
from web import log
from web.settings import Settings

SCAN = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root, hook, thread_hook = logging.getLogger(), __import__("sys").excepthook, threading.excepthook
    handlers, level = list(root.handlers), root.level
    yield
    for handler in set(root.handlers) - set(handlers):
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)
    __import__("sys").excepthook, threading.excepthook = hook, thread_hook


def test_a_json_line_for_each_request_and_none_for_probes(tmp_path: Path) -> None:
    path = tmp_path / "web.log"
    path.write_text('{"message": "the line before the crash"}\n')
    log.set_up("json", path)
    with standing_in(Stage()) as stage, opened(Settings(stage.url, stage.url)) as inside:
        sent = {"X-Request-Id": "mine", "Authorization": "Bearer secret-key"}
        url = f"{inside.url}/api/v1/segment?threshold=0.4"
        requests.post(url, data=SCAN, headers=sent, timeout=PATIENCE)
        with ask_and_go(inside.port, head("X-Request-Id: mine", "Expect: 100-continue", size=2**40)) as refused:
            assert read_answer(refused)[0] == 413
        for probe in ("/livez", "/readyz", "/metrics", "/static/main.js"):
            requests.get(inside.url + probe, timeout=PATIENCE)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[0]["message"] == "the line before the crash"
    mine = [line for line in lines if line.get("id") == "mine"]
    assert [(one["route"], one["status"], one["code"]) for one in mine] == [
        ("api.segment", 200, "ok"),
        ("door", 413, "too_large"),
    ]
    assert mine[0]["bytes"] == len(SCAN)
    assert mine[0]["seconds"] >= 0
    assert [line["route"] for line in lines if "route" in line] == ["api.segment", "door"]
    assert not any(word in path.read_text() for word in ("secret-key", "127.0.0.1:", "threshold"))


def test_it_rolls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "ROLL_BYTES", 1000)
    log.set_up("text", tmp_path / "web.log")
    for number in range(200):
        log.log_request("api.segment", f"id-{number}", 200, "ok", 0.1, 5)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["web.log", *(f"web.log.{n}" for n in range(1, log.ROLL_FILES + 1))]
    assert all(path.stat().st_size <= 1000 for path in tmp_path.iterdir())


def test_a_thread_that_falls_leaves_its_traceback(tmp_path: Path) -> None:
    log.set_up("json", tmp_path / "web.log")
    fallen = threading.Thread(target=lambda: 1 / 0)
    fallen.start()
    fallen.join()
    [line] = (tmp_path / "web.log").read_text().splitlines()
    assert "ZeroDivisionError" in json.loads(line)["traceback"]
