"""Keys on a running front door: needed beyond loopback, rotated under load without a refused request."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from archive.store import ROOT
from brainseg_client import AccessError, BusyError, Client
from serving.torchserve import free_port
from tests.front import Front

pytestmark = pytest.mark.server
OLD, NEW = "old-0123456789abcdefghij", "new-0123456789abcdefghij"
StartFront = Callable[..., Front]


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(f"ward {OLD}\n")
    return path


def test_it_refuses_to_listen_elsewhere_without_keys() -> None:
    command = [sys.executable, "-m", "web.server", "--host", "0.0.0.0", "--port", str(free_port())]  # noqa: S104
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert "--api-keys" in ended.stderr


def test_with_keys_it_listens_everywhere_and_asks_for_them(start_front: StartFront, keys: Path, lesion: bytes) -> None:
    front = start_front("--host", "0.0.0.0", "--api-keys", str(keys))  # noqa: S104
    for path in ("/livez", "/readyz", "/", "/static/main.js", "/api/v1/openapi.json"):
        assert requests.get(front.url + path, timeout=20).status_code in (200, 503)
    for path in ("/api/v1/models", "/metrics"):
        assert requests.get(front.url + path, timeout=20).status_code == 401
    refused = requests.post(f"{front.url}/api/v1/segment", data=bytes(5_000_000), timeout=20)
    assert (refused.status_code, refused.json()["code"]) == (401, "unauthorized")
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")
    with pytest.raises(AccessError):
        Client(front.url, "wrong-0123456789abcdefghij").models()
    assert Client(front.url, OLD).segment(lesion, outputs=()).tumor_detected
    assert OLD not in front.printed()
    assert front.stop() == 0


def test_keys_rotate_under_load_without_a_refused_request(start_front: StartFront, keys: Path, lesion: bytes) -> None:
    front = start_front("--api-keys", str(keys))
    ends, refusals, answers = threading.Event(), [], []
    key = [OLD]

    def load() -> None:
        while not ends.is_set():
            reply = requests.get(
                f"{front.url}/api/v1/models", headers={"Authorization": f"Bearer {key[0]}"}, timeout=30
            )
            (answers if reply.ok else refusals).append(reply.status_code)

    def scan() -> None:
        while not ends.is_set():
            Client(front.url, key[0]).segment(lesion, outputs=())
            answers.append(200)

    threads = [threading.Thread(target=work, daemon=True) for work in (load, load, scan)]
    for thread in threads:
        thread.start()
    for text, shown in ((f"ward {OLD}\nlab {NEW}\n", OLD), (None, NEW), (f"lab {NEW}\n", NEW)):
        time.sleep(0.6)
        if text:
            keys.write_text(text)  # in place, as an editor might
        key[0] = shown
        time.sleep(0.6)
    ends.set()
    for thread in threads:
        thread.join(30)
    assert not refusals
    assert len(answers) > 20
    with pytest.raises(AccessError):
        Client(front.url, OLD).models()


def test_a_client_over_its_rate_is_told_when_to_come_back(start_front: StartFront, keys: Path) -> None:
    front = start_front("--api-keys", str(keys), "--rate", "6")
    hasty = Client(front.url, OLD, patience=0)
    with pytest.raises(Exception, match="empty_body"):
        hasty.segment(b"")
    with pytest.raises(BusyError) as caught:
        hasty.segment(b"")
    assert caught.value.code == "rate_limited"
    assert caught.value.retry_after
    assert 0 < caught.value.retry_after <= 10
