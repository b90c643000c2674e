"""TorchServe's two ports, and behind them the real handler with an unpacked archive: for what is about an answer and
its engine, without the seconds that TorchServe takes to start."""

from __future__ import annotations

import json
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from handler.pipeline import answer, open_model
from tests.web.standin import Stage


def unpacked(archive: Path, folder: Path) -> Path:
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    return folder


@contextmanager
def working(release: Path, engine: str) -> Iterator[str]:
    """The address of both ports. ``release``: an unpacked archive, opened anew."""
    model, turn = open_model(release, engine, 1), threading.Lock()
    stage = Stage(versions=(model.card.version,))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with turn:
                reply = answer(model, {"body": body}, dict(self.headers)).answer
            self._send(reply.status, reply.content_type, reply.body, dict(reply.headers))

        def do_GET(self) -> None:
            stage.seen.clear()
            status, kind, found = stage.answer("GET", self.path, "")
            self._send(status, kind, json.dumps(found).encode(), {})

        def _send(self, status: int, kind: str, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(60)
