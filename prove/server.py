"""A BrainSeg of its own, to be proven: ``scripts/serve`` on free ports, with a state folder and a model store."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import requests

from archive.store import ROOT
from exchange.tokens import bearer
from prove.asking import get, post
from serving.ports import free_port

START_SECONDS = 600  # the first start converts and packages the released weights


@dataclass
class Server:
    """A running ``scripts/serve``. ``url``: TorchServe's predictions; ``door``: the front door. ``variables``: what its
    environment has beside this one's; ``options``: of ``scripts/serve``; ``cwd``: where it is started."""

    store: Path
    state: Path
    inference_port: int = field(default_factory=free_port)
    management_port: int = field(default_factory=free_port)
    metrics_port: int = field(default_factory=free_port)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[str] | None = None
    variables: dict[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    cwd: Path = ROOT
    grpc_port: int | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.inference_port}/predictions/brainseg"

    @property
    def management(self) -> str:
        return f"http://127.0.0.1:{self.management_port}"

    @property
    def metrics(self) -> str:
        return f"http://127.0.0.1:{self.metrics_port}/metrics"

    @property
    def door(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def key_file(self) -> Path:
        return self.state / "key_file.json"

    @property
    def output(self) -> Path:
        return self.state.parent / f"{self.state.name}.out"

    def command(self) -> list[str]:
        ports = ["--inference-port", self.inference_port, "--management-port", self.management_port]
        ports += ["--metrics-port", self.metrics_port, "--port", self.port]
        places = ["--state", self.state, "--model-store", self.store]
        ports += [] if self.grpc_port is None else ["--grpc-port", self.grpc_port]
        return [str(ROOT / "scripts" / "serve"), *map(str, [*ports, *places]), *self.options]

    def start(self) -> None:
        """Starts and waits for the line that says it is ready; raises ``RuntimeError`` with what was printed."""
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                self.command(), stdout=output, stderr=subprocess.STDOUT, text=True, cwd=self.cwd,
                env={**os.environ, **self.variables},
            )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        while "curl" not in (printed := self.output.read_text()):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"the server did not start:\n{printed}")
            time.sleep(0.2)

    def stop(self) -> int:
        """SIGTERM, as an operator would; the exit status."""
        if self.process is None:
            raise RuntimeError("the server was not started")
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(120)

    def kill(self) -> None:
        """Ends whatever is left, for tests that failed."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(120)
            except subprocess.TimeoutExpired:
                for child in psutil.Process(self.process.pid).children(recursive=True):
                    child.kill()
                self.process.kill()

    def auth(self, kind: str = "inference") -> dict[str, str]:
        return bearer(self.key_file, kind)

    def post(self, data: bytes, version: str = "", **headers: str) -> requests.Response:
        """A raw scan to TorchServe; ``Content_Type`` stands for ``Content-Type``."""
        sent = {"Content-Type": "application/octet-stream", **self.auth()}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"{self.url}/{version}" if version else self.url
        return post(url, data=data, headers=sent, timeout=600)

    def describe(self, version: str = "all", model: str = "brainseg") -> list[dict[str, Any]]:
        reply = get(f"{self.management}/models/{model}/{version}", headers=self.auth("management"), timeout=120)
        reply.raise_for_status()
        described: list[dict[str, Any]] = reply.json()
        return described

    def worker_pids(self, version: str = "all") -> list[int]:
        return [int(worker["pid"]) for entry in self.describe(version) for worker in entry["workers"]]

    @property
    def temporary(self) -> Path:
        """TorchServe's temporary folder, of a server that runs."""
        return Path(self.processes()["jvm"].environ()["TMPDIR"])

    def processes(self) -> dict[str, psutil.Process]:
        """What the server consists of, by role: ``serve``, ``jvm``, ``front door``, ``worker`` and, where there are
        several, ``worker 2``, …; not what they start for a moment. Raises ``psutil.NoSuchProcess`` where it ended."""
        if self.process is None:
            raise RuntimeError("the server was not started")
        top = psutil.Process(self.process.pid)
        found = {"serve": top}
        for one in sorted(top.children(recursive=True), key=lambda child: child.pid):
            role = _role(one)
            number = sum(name.partition(" ")[0] == role for name in found) if role == "worker" else 0
            if role:
                found[f"{role} {number + 1}" if number else role] = one
        return found


# What is started, by a word of its command line.
_ROLES = {
    "org.pytorch.serve.ModelServer": "jvm",
    "model_service_worker.py": "worker",
    "web.server": "front door",
}


def _role(process: psutil.Process) -> str | None:
    try:
        words = process.cmdline()
    except psutil.Error:
        return None
    return next((role for word, role in _ROLES.items() if any(given.endswith(word) for given in words)), None)


def environment() -> dict[str, str]:
    """The environment without what a developer's shell may have set for another server."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("TS_", "BRAINSEG_"))}
