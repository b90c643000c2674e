"""SIGTERM ends the front door after the answers in work."""

from __future__ import annotations

import contextlib
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

    told = threading.Event()

    def ask() -> None:
        """Again and again: on a busy machine one answer may be there before anybody has looked."""
        url = f"{front.url}/api/v1/segment?outputs=scan,probability"
        with contextlib.suppress(requests.ConnectionError):  # of one that began after the end
            while not told.is_set():
                got.append(requests.post(url, data=stack, headers={"Content-Type": "image/tiff"}, timeout=120))

    def running() -> list[int]:
        """How many were answered when one was seen at work."""
        answered = len(got)
        return [answered] if "brainseg_front_running 1.0" in requests.get(url, timeout=120).text else []

    thread = threading.Thread(target=ask)
    thread.start()
    url = f"{front.url}/metrics"
    answered = until(running, "the request did not run", 0.0)[0]
    told.set()
    assert front.process is not None
    front.process.send_signal(signal.SIGTERM)
    thread.join(120)
    assert front.process.wait(120) == 0
    assert got[answered].status_code == 200
    assert len(got[answered].json()["slices"]) == 8
