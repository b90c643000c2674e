"""The calls of docs/clients/, each in its language: a 503 is waited out as Retry-After says, the verdict is printed,
a refusal ends with its reason."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from archive.store import ROOT, SAMPLES
from prove.server import environment
from samples.make import LESION
from tests.npm import npm_folder
from web.contract.fields import RefusedError
from web.contract.openapi import document

pytestmark = pytest.mark.server
CLIENTS = ROOT / "docs" / "clients"
COMMANDS = {
    "segment.sh": ["bash"],
    "segment.py": [sys.executable],
    "segment.mjs": ["node"],
    "segment.ts": ["node"],
    "Segment.java": ["java"],
    "segment.R": ["Rscript"],
    "segment.m": ["octave", "--norc", "--quiet", "--no-history"],
}
LONG = ("segment.R", "segment.m")  # Debian's packages of their runtimes are large, and only this needs them


@dataclass
class Busy:
    """In front of a front door: the first request gets 503 ``queue_full``. ``statuses``: of all answers."""

    door: str
    url: str = ""
    statuses: list[int] = field(default_factory=list)


@contextmanager
def busy_before(door: str) -> Iterator[Busy]:
    busy = Busy(door)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _body(self) -> bytes:
            if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            chunks = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)

        def do_POST(self) -> None:
            if self.headers.get("Expect") == "100-continue":
                self.send_response_only(100)
                self.end_headers()
            body = self._body()
            if not busy.statuses:
                refusal = RefusedError("queue_full", "Try again.", 1)
                status, headers, answer = 503, refusal.headers(), refusal.body("first")
            else:
                kind = {"Content-Type": self.headers.get("Content-Type") or "application/octet-stream"}
                reply = requests.post(busy.door + self.path, data=body, headers=kind, timeout=120)
                status, headers, answer = (
                    reply.status_code,
                    {"Content-Type": reply.headers["Content-Type"]},
                    reply.content,
                )
            busy.statuses.append(status)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(answer))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    busy.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield busy
    finally:
        server.shutdown()
        server.server_close()


def ready(name: str, folder: Path) -> Path:
    """The script, compiled where that has to be. Skips where its runtime is not here."""
    program = COMMANDS[name][0]
    wanted = "javac" if program == "java" else program  # a Java without its compiler runs no source
    if not shutil.which(wanted):
        pytest.skip(f"{wanted} is not here: docs/clients/{name} was not run")
    if name != "segment.ts":
        return CLIENTS / name
    programs = npm_folder(ROOT / "tests" / "web" / "generators", "generators") / "node_modules"
    (folder / "node_modules").symlink_to(programs)
    shutil.copy(CLIENTS / name, folder)
    shutil.copy(ROOT / "tests" / "web" / "generators" / "tsconfig.json", folder)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "openapi.json").write_text(json.dumps(document()))
    for command in (["openapi-typescript", "openapi.json", "-o", "api.d.ts"], ["tsc", "--project", "."]):
        program_path = programs / ".bin" / command[0]
        done = subprocess.run([program_path, *command[1:]], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "out" / "segment.js"


@pytest.mark.parametrize(
    # LONG: runtimes that only this needs.
    "name",
    [pytest.param(name, marks=pytest.mark.long if name in LONG else pytest.mark.slow) for name in COMMANDS],
)
def test_the_call_waits_answers_and_refuses(name: str, door: str, tmp_path: Path) -> None:
    script = ready(name, tmp_path)
    (tmp_path / "other.png").write_bytes(b"GIF89a")
    command = [*COMMANDS[name], str(script)]
    with busy_before(door) as busy:

        def call(scan: Path) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [*command, busy.url, str(scan)], cwd=tmp_path, env=environment(), capture_output=True, text=True,
                timeout=500, check=False,
            )  # fmt: skip

        done = call(SAMPLES / LESION)
        assert done.returncode == 0, done.stdout + done.stderr
        verdict, pixels = done.stdout.split()
        assert verdict == "tumor_detected"
        assert int(pixels) > 100
        assert busy.statuses == [503, 200]
        refused = call(tmp_path / "other.png")
        assert refused.returncode != 0
        assert "expected JPEG" in refused.stdout + refused.stderr
        assert busy.statuses[2:] == [415]


def test_every_file_there_is_run_and_listed() -> None:
    found = {path.name for path in CLIENTS.iterdir()} - {"README.md"}
    assert found == set(COMMANDS)
    page = (CLIENTS / "README.md").read_text()
    assert all(f"({name})" in page for name in found)
