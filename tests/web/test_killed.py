"""The worker is killed while four clients run: readiness drops and comes back by itself, nobody is left hanging."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter

import pytest
import requests

from brainseg_client import Client
from prove.server import Server
from tests.waiting import until

pytestmark = pytest.mark.server
CLIENTS, SCANS_EACH = 4, 12
CLEAN = {200, 503}


class Reader(threading.Thread):
    """Sends ``scans`` one after the other; with patience by way of the client, else once each."""

    def __init__(self, door: str, scans: list[bytes], patient: bool) -> None:
        super().__init__(daemon=True)
        self._door, self._scans, self._patient = door, scans, patient
        self.statuses: Counter[int] = Counter()
        self.answers = 0

    def run(self) -> None:
        client = Client(self._door, patience=90)
        for scan in self._scans:
            if self._patient:
                client.segment(scan, version="1.0", outputs=())
                self.answers += 1
                continue
            reply = requests.post(f"{self._door}/api/v1/segment?outputs=none", data=scan, timeout=120)
            self.statuses[reply.status_code] += 1


def wait_for(door: str, status: int) -> float:
    """Seconds until /readyz answered ``status``."""
    begin = time.monotonic()
    until(lambda: requests.get(f"{door}/readyz", timeout=120).status_code == status, f"/readyz was not {status}")
    return time.monotonic() - begin


@pytest.mark.slow
def test_a_killed_worker_costs_no_patient_client_an_answer(detector: Server, door: str, lesion: bytes) -> None:
    wait_for(door, 200)
    # Bytes after the PNG's end make different files of one picture.
    scans = [[lesion + bytes([reader, n]) for n in range(SCANS_EACH)] for reader in range(CLIENTS)]
    readers = [Reader(door, mine, patient=n < 2) for n, mine in enumerate(scans)]
    for reader in readers:
        reader.start()
    until(lambda: all(reader.answers or reader.statuses for reader in readers), "not everybody had an answer")
    begin = time.monotonic()
    os.kill(detector.worker_pids("1.0")[0], signal.SIGKILL)
    dropped = wait_for(door, 503)
    for reader in readers:
        reader.join(120)
        assert not reader.is_alive(), "a client was left hanging"
    wait_for(door, 200)
    print(f"\nreadiness dropped after {dropped:.2f} s, was back {time.monotonic() - begin:.1f} s after the kill")
    assert [reader.answers for reader in readers[:2]] == [SCANS_EACH] * 2
    for reader in readers[2:]:
        assert sum(reader.statuses.values()) == SCANS_EACH
        assert set(reader.statuses) <= CLEAN
        assert reader.statuses[200]
