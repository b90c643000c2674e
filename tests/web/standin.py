"""A stand-in for TorchServe that answers from a script: for what a real one does too seldom to be tested."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from flask.testing import FlaskClient

from web.app import create_app
from web.settings import Settings

Scripted = tuple[int, str, object]
SCANS = ("/predictions", "/explanations")
DIED: Scripted = (507, "application/json", {"code": 507, "type": "InternalServerException", "message": "Worker died."})
NO_WORKER: Scripted = (
    503,
    "application/json",
    {
        "code": 503,
        "type": "ServiceUnavailableException",
        "message": 'Model "brainseg" has no worker to serve inference',
    },
)
OK: Scripted = (200, "application/json", {"tumor_pixels": 5, "model": {"version": "1.0"}})
NO_MODEL: Scripted = (404, "application/json", {"code": 404, "type": "ModelNotFoundException", "message": "…"})
TOKEN_REFUSED: Scripted = (400, "application/json", {"code": 400, "type": "InvalidKeyException", "message": "Token …"})


@dataclass
class Stage:
    """``predictions``: answers to come, the last for ever. ``statuses``: of the workers. ``seen``: (method, path,
    Authorization) of every request; ``headers``: of the last prediction; ``answer_headers``: beside those of each
    answer; ``token``: the only one taken, None for any; ``versions``: the first is the default; ``absent``: models that
    it has not, it has any other."""

    predictions: list[Scripted] = field(default_factory=lambda: [OK])
    statuses: list[str] = field(default_factory=lambda: ["READY"])
    pid: int = 1
    token: str | None = None
    seen: list[tuple[str, str, str]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    answer_headers: dict[str, str] = field(default_factory=dict)
    versions: tuple[str, ...] = ("1.0",)
    goes_on: threading.Event = field(default_factory=threading.Event)
    held: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def hold(self, *ends: str) -> None:
        """From now on predictions whose path ends so (none given: all) are answered only when ``goes_on`` is set."""
        self.held = ends or ("",)
        self.goes_on.clear()

    def predicted(self) -> int:
        return sum(path.startswith(SCANS) for _, path, _ in self.seen)

    def answer(self, method: str, path: str, authorization: str) -> Scripted:
        with self.lock:
            self.seen.append((method, path, authorization))
            if self.token is not None and authorization != f"Bearer {self.token}":
                return TOKEN_REFUSED
            if path.split("?")[0].split("/")[2] in self.absent:
                return NO_MODEL
            if path.startswith(SCANS):
                return self.predictions.pop(0) if len(self.predictions) > 1 else self.predictions[0]
            asked = path.split("?")[0].split("/")[3:4]
            versions = self.versions if asked == ["all"] else tuple(asked) or self.versions[:1]
            return (200, "application/json", [self._described(version) for version in versions])

    def _described(self, version: str) -> dict[str, Any]:
        workers = [{"id": f"900{n}", "pid": self.pid, "status": status} for n, status in enumerate(self.statuses)]
        return {"modelVersion": version, "minWorkers": 1, "workers": workers, "jobQueueStatus": {"pendingRequests": 0}}


def client_of(stage: Stage) -> FlaskClient:
    """Of a front door before it, in this process."""
    return create_app(Settings(stage.url, stage.url)).test_client()


@contextmanager
def standing_in(stage: Stage) -> Iterator[Stage]:
    """``stage.url`` answers for both the inference and the management port."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path.startswith(SCANS):
                stage.headers = dict(self.headers)
                if self.path.endswith(stage.held or "/"):
                    stage.goes_on.wait(120)
            status, kind, body = stage.answer(self.command, self.path, self.headers.get("Authorization", ""))
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            for name, value in stage.answer_headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = _answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stage.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield stage
    finally:
        server.shutdown()
        server.server_close()
