"""Keys on a running front door: needed beyond loopback, rotated under load without a refused request."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from archive.store import ROOT
from brainseg_client import AccessError, BusyError, Client
from serving.ports import free_port
from tests.front import Front
from tests.waiting import until

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
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 2
    assert "--api-keys" in ended.stderr


def test_with_keys_it_listens_everywhere_and_asks_for_them(start_front: StartFront, keys: Path, lesion: bytes) -> None:
    front = start_front("--host", "0.0.0.0", "--api-keys", str(keys))  # noqa: S104
    for path in ("/livez", "/readyz", "/", "/static/main.js", "/api/v1/openapi.json"):
        assert requests.get(front.url + path, timeout=120).status_code in (200, 503)
    for path in ("/api/v1/models", "/metrics"):
        assert requests.get(front.url + path, timeout=120).status_code == 401
    refused = requests.post(f"{front.url}/api/v1/segment", data=bytes(5_000_000), timeout=120)
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
    key, rounds = [OLD], [0, 0, 0]

    def ask(secret: str) -> int:
        headers = {"Authorization": f"Bearer {secret}"}
        return requests.get(f"{front.url}/api/v1/models", headers=headers, timeout=120).status_code

    def load(number: int) -> None:
        while not ends.is_set():
            status = ask(key[0])
            (answers if status == 200 else refusals).append(status)
            rounds[number] += 1

    def scan(number: int) -> None:
        while not ends.is_set():
            Client(front.url, key[0]).segment(lesion, outputs=())
            answers.append(200)
            rounds[number] += 1

    def all_went_round() -> None:
        """Twice, so that the last request of each began after the call."""
        before = list(rounds)
        until(lambda: all(now >= then + 2 for now, then in zip(rounds, before, strict=True)), "a client hangs")

    clients = enumerate((load, load, scan))
    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number, work in clients]
    for thread in threads:
        thread.start()
    all_went_round()
    keys.write_text(f"ward {OLD}\nlab {NEW}\n")  # in place, as an editor might
    until(lambda: ask(NEW) == 200, "the new key was not taken")
    all_went_round()
    key[0] = NEW
    all_went_round()
    keys.write_text(f"lab {NEW}\n")
    until(lambda: ask(OLD) == 401, "the old key was not refused")
    all_went_round()
    ends.set()
    for thread in threads:
        thread.join(120)
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
