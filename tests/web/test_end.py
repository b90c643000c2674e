"""SIGTERM ends the front door after the answers in work."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

import pytest
import requests

from tests.front import Front
from tests.waiting import until

pytestmark = pytest.mark.server


def test_an_answer_in_work_is_given_before_the_end(start_front: Callable[..., Front], stack: bytes) -> None:
    front = start_front()
    got: list[requests.Response] = []

    def ask() -> None:
        url = f"{front.url}/api/v1/segment?outputs=scan,probability"
        got.append(requests.post(url, data=stack, headers={"Content-Type": "image/tiff"}, timeout=120))

    thread = threading.Thread(target=ask)
    thread.start()
    url = f"{front.url}/metrics"
    until(lambda: "brainseg_front_running 1.0" in requests.get(url, timeout=120).text, "the request did not run", 0.0)
    assert front.process is not None
    front.process.send_signal(signal.SIGTERM)
    thread.join(120)
    assert front.process.wait(120) == 0
    assert got[0].status_code == 200
    assert len(got[0].json()["slices"]) == 8
