"""A front door of its own, ``python -m web.server``, in front of a running TorchServe."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO

import requests

from archive.store import ROOT, SAMPLES
from prove.server import Server, environment
from serving.ports import free_port
from tests.waiting import BOUND_SECONDS


@dataclass
class Front:
    """``arguments``: of ``web.server``, beside those that name the server behind."""

    server: Server
    arguments: Sequence[str] = ()
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    log: IO[bytes] = field(default_factory=tempfile.TemporaryFile)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        behind = ["--inference-url", f"http://127.0.0.1:{self.server.inference_port}"]
        behind += ["--management-url", self.server.management, "--key-file", str(self.server.key_file)]
        own = ["--port", str(self.port), "--samples", str(SAMPLES), *self.arguments]
        return [sys.executable, "-m", "web.server", *behind, *own]

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command(), cwd=ROOT, env=environment(), stdout=self.log, stderr=subprocess.STDOUT
        )
        deadline = time.monotonic() + BOUND_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                requests.get(f"{self.url}/livez", timeout=120)
            except requests.ConnectionError:
                time.sleep(0.1)
            else:
                return
        raise RuntimeError(f"the front door did not start:\n{self.printed()}")

    def printed(self) -> str:
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def stop(self) -> int | None:
        """SIGTERM; the exit status."""
        if self.process is None:
            return None
        self.process.terminate()
        try:
            return self.process.wait(120)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
