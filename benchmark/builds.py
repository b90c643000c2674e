"""A checkout of BrainSeg served as its own ``scripts/serve`` would, so that two builds can stand side by side."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import requests

from archive.programs import python
from archive.store import KEY_FILE, MODEL_NAME
from exchange.session import open_session
from exchange.tokens import bearer
from serving.ports import free_port

START_SECONDS = 900  # it packages what it serves first
ANSWER_SECONDS = 900
STOP_SECONDS = 120
MODULE = re.compile(r"^brainseg_run \w+ (\S+)", re.MULTILINE)
# The checkout's own environment, without the installing: both builds run in the packages that are here.
SHELL = '. "$1/scripts/bootstrap.sh"; shift; exec "$@"'
_kept = threading.local()


def session() -> requests.Session:
    """One a thread: clients keep their connection, as apps do."""
    if not hasattr(_kept, "session"):
        _kept.session = open_session()
    found: requests.Session = _kept.session
    return found


@dataclass(frozen=True)
class Build:
    """A build that is served. ``label``: what it is called in the report; ``commit``: of its checkout; ``default``: the
    version that answers when none is named; ``headers``: sent with every request."""

    label: str
    commit: str
    state: Path
    inference: str
    management: str
    door: str
    default: str = ""
    headers: Mapping[str, str] | None = None

    def post(self, data: bytes, headers: Mapping[str, str], version: str | None = None) -> requests.Response:
        """``data`` to TorchServe itself, ``headers`` beside what every request has. Raises ``HTTPError``."""
        token = bearer(self.state / KEY_FILE, "inference")
        url = f"{self.inference}/predictions/{MODEL_NAME}" + (f"/{version}" if version else "")
        return self._sent(url, data, {**token, **headers})

    def knock(self, data: bytes, headers: Mapping[str, str]) -> requests.Response:
        """``data`` to the front door. Where it is full, again when it says so. Raises ``HTTPError``."""
        while True:
            try:
                return self._sent(f"{self.door}/api/v1/segment", data, headers)
            except requests.HTTPError as error:
                if error.response.status_code != 503:
                    raise
                time.sleep(float(error.response.headers.get("Retry-After", 1)))

    def worker_memory_mb(self) -> float:
        """Resident memory of the default version's largest worker, in MB (10^6 bytes)."""
        url = f"{self.management}/models/{MODEL_NAME}/{self.default}"
        reply = session().get(url, headers=bearer(self.state / KEY_FILE, "management"), timeout=30)
        reply.raise_for_status()
        pids = [int(worker["pid"]) for worker in reply.json()[0]["workers"]]
        return max(psutil.Process(pid).memory_info().rss for pid in pids) / 1e6

    def _sent(self, url: str, data: bytes, headers: Mapping[str, str]) -> requests.Response:
        every = {"Content-Type": "application/octet-stream", **(self.headers or {}), **headers}
        reply = session().post(url, data=data, headers=every, timeout=ANSWER_SECONDS)
        reply.raise_for_status()
        return reply


def _commit(folder: Path) -> str:
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=7", "--exclude=*"]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    return told.stdout.strip() or "unknown"


def _command(build: Build, folder: Path, store: Path | None) -> list[str]:
    """Raises ``ValueError`` where ``folder`` is no checkout of BrainSeg."""
    script = folder / "scripts" / "serve"
    found = MODULE.search(script.read_text(encoding="utf-8")) if script.exists() else None
    if found is None:
        raise ValueError(f"{folder}: no scripts/serve in it; expected a checkout (git worktree add {folder} COMMIT)")
    serve = [*python("-m", found[1]), "--state", str(build.state)]
    for option, url in (
        ("--inference-port", build.inference),
        ("--management-port", build.management),
        ("--metrics-port", f":{free_port()}"),
        ("--port", build.door),
    ):
        serve += [option, url.rsplit(":", 1)[1]]
    serve += ["--model-store", str(store)] if store else []
    return ["bash", "-euo", "pipefail", "-c", SHELL, "serve", str(folder), *serve]


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        for one in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        process.wait()


def _ready(build: Build) -> bool:
    try:
        return session().get(f"{build.door}/readyz", timeout=10).status_code == 200
    except requests.RequestException:
        return False


def _models(build: Build) -> Mapping[str, Any]:
    reply = session().get(f"{build.door}/api/v1/models", timeout=60)
    reply.raise_for_status()
    found: Mapping[str, Any] = reply.json()
    return found


@contextlib.contextmanager
def served(label: str, folder: Path, state: Path, store: Path | None = None) -> Iterator[Build]:
    """The checkout in ``folder``, served with its own defaults, its state in ``state``. ``store``: its model store, by
    default its own. Raises ``RuntimeError`` with the last lines it said when it does not start."""
    inference, management, door = (f"http://127.0.0.1:{free_port()}" for _ in range(3))
    build = Build(label, _commit(folder), state, inference, management, door)
    said = state.with_suffix(".log")
    with said.open("wb") as output:
        command = _command(build, folder.resolve(), store)
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _ready(build):
            if process.poll() is not None or time.monotonic() > deadline:
                last = "\n".join(said.read_text(errors="replace").splitlines()[-15:])
                raise RuntimeError(f"the build in {folder} did not start:\n{last}")
            time.sleep(0.5)
        yield replace(build, default=str(_models(build)["default"]))
    finally:
        _end(process)
