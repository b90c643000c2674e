"""Jobs: submitted, waited for, fetched."""

from __future__ import annotations

import time
from collections.abc import Sequence

import requests

from exchange.session import open_session
from prove.server import Server
from prove.ways.http import BUSY, code_of
from prove.ways.way import LOST, Reply

WAIT_SECONDS = 1800.0
_ACCEPTED, _NOT_YET = 202, 409


class JobsWay:
    """``POST /api/v1/jobs``; the server needs ``--jobs``."""

    name = "jobs"
    kinds: tuple[str, ...] = ()

    def __init__(self, server: Server) -> None:
        self._url = f"{server.door}/api/v1/jobs"
        self._session = open_session()

    def send(self, scans: Sequence[bytes]) -> list[Reply]:
        """All are submitted before the first is waited for."""
        submitted = [self._submit(scan) for scan in scans]
        return [one if isinstance(one, Reply) else self._result(one) for one in submitted]

    def _submit(self, scan: bytes) -> Reply | str:
        """The job's id, or the refusal."""
        while True:
            headers = {"Content-Type": "application/octet-stream"}
            try:
                reply = self._session.post(f"{self._url}?outputs=none", data=scan, headers=headers, timeout=600)
            except requests.RequestException as error:
                return Reply(0, f"{LOST}: {type(error).__name__}")
            if reply.status_code == _ACCEPTED:
                return str(reply.json()["id"])
            if reply.status_code not in BUSY or "Retry-After" not in reply.headers:
                return Reply(reply.status_code, code_of(reply))
            time.sleep(float(reply.headers["Retry-After"]))

    def _result(self, identity: str) -> Reply:
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            reply = self._session.get(f"{self._url}/{identity}/result", timeout=600)
            if reply.status_code != _NOT_YET:
                self._session.delete(f"{self._url}/{identity}", timeout=600)
                return Reply(reply.status_code, code_of(reply))
            time.sleep(0.1)
        return Reply(0, f"{LOST}: no result")

    def close(self) -> None:
        """Closes the connection."""
        self._session.close()
