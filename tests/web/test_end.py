"""SIGTERM ends the front door after the answers in work."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable

import pytest
import requests

from tests.front import Front

pytestmark = pytest.mark.server


def test_an_answer_in_work_is_given_before_the_end(start_front: Callable[..., Front], stack: bytes) -> None:
    front = start_front()
    got: list[requests.Response] = []

    def ask() -> None:
        url = f"{front.url}/api/v1/segment?outputs=scan,probability"
        got.append(requests.post(url, data=stack, headers={"Content-Type": "image/tiff"}, timeout=120))

    thread = threading.Thread(target=ask)
    thread.start()
    deadline = time.monotonic() + 30
    while "brainseg_front_running 1" not in requests.get(f"{front.url}/metrics", timeout=10).text:
        assert time.monotonic() < deadline, "the request never ran"
    assert front.process is not None
    front.process.send_signal(signal.SIGTERM)
    thread.join(60)
    assert front.process.wait(40) == 0
    assert got[0].status_code == 200
    assert len(got[0].json()["slices"]) == 8
