"""The three servers under test, each started by itself on free ports and ended after its turn."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import requests

from archive.programs import environment, python
from archive.store import MODEL_NAME, ROOT, archive_path
from exchange.session import open_session
from exchange.tokens import bearer
from handler.resources import Plan
from serving import torchserve
from serving.instance import owned
from serving.ports import free_port, port_is_free
from serving.ready import workers_ready
from serving.torchserve import Ports

START_SECONDS = 300
PEERS = Path("benchmark") / "peers"
TIMEOUTS = {"responseTimeout": 900, "startupTimeout": 300}


@dataclass(frozen=True)
class Target:
    """A running server. ``send`` posts a picture, ``pids`` are the processes that hold the network."""

    name: str
    send: Callable[[bytes], requests.Response]
    pids: list[int]

    def worker_memory_mb(self) -> float:
        """Resident memory of the largest worker, in MB (10^6 bytes)."""
        return max(psutil.Process(pid).memory_info().rss for pid in self.pids) / 1e6


_kept = threading.local()


def _session() -> requests.Session:
    """One a thread: clients keep their connection, as apps do."""
    if not hasattr(_kept, "session"):
        _kept.session = open_session()
    session: requests.Session = _kept.session
    return session


def _wait(check: Callable[[], bool], process: subprocess.Popen[bytes], name: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not check():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{name} did not start")
        time.sleep(0.3)


@contextlib.contextmanager
def torchserve_with(
    store: Path, version: str, plan: Plan, java_home: Path, folder: Path, name: str
) -> Iterator[Target]:
    """TorchServe with ``brainseg-<version>.mar`` of ``store``, set up in ``folder`` as ``scripts/serve`` does."""
    with owned(folder):
        ports = Ports(free_port(), free_port(), free_port())
        places = torchserve.make_places(folder, store)
        settings = torchserve.write_settings(
            places, ports, torchserve.snapshot({version: archive_path(version).name}, version, plan, TIMEOUTS)
        )
        process = torchserve.start(places, settings, java_home, plan)
        try:
            _wait(lambda: workers_ready(places, ports, version), process, name)
            headers = {**bearer(places.key_file, "inference"), "Content-Type": "application/octet-stream"}
            url = f"http://127.0.0.1:{ports.inference}/predictions/{MODEL_NAME}"
            management = f"http://127.0.0.1:{ports.management}/models/{MODEL_NAME}/{version}"
            described = _session().get(management, headers=bearer(places.key_file, "management"), timeout=30).json()
            pids = [int(worker["pid"]) for worker in described[0]["workers"]]
            yield Target(name, lambda data: _session().post(url, data=data, headers=headers, timeout=600), pids)
        finally:
            torchserve.stop(process, places)


def stock_store(release: Path, version: str, folder: Path) -> Path:
    """A model store with the stock handler's archive around the same weights."""
    staged = folder / "staged"
    shutil.copytree(ROOT / "handler", staged / "handler", ignore=shutil.ignore_patterns("__pycache__", "service.py"))
    for package in (PEERS.parent, PEERS):
        (staged / package).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / package / "__init__.py", staged / package / "__init__.py")
    shutil.copyfile(ROOT / PEERS / "eager.py", staged / PEERS / "eager.py")
    for name in ("weights.safetensors", "model-card.json"):
        shutil.copyfile(release / name, staged / name)
    store = folder / "store"
    store.mkdir()
    command = python("-m", "model_archiver.model_packaging", "--model-name", MODEL_NAME, "--version", version)
    command += ["--handler", str(ROOT / PEERS / "stock_handler.py"), "--extra-files", str(staged)]
    variables = {**environment(), "TMPDIR": str(folder)}
    subprocess.run([*command, "--export-path", str(store)], env=variables, check=True, capture_output=True)
    (store / f"{MODEL_NAME}.mar").rename(store / f"{MODEL_NAME}-{version}.mar")
    return store


@contextlib.contextmanager
def flask_peer(release: Path, name: str) -> Iterator[Target]:
    """The plain Flask app with matplotlib figures."""
    port = free_port()
    command = python("-m", "benchmark.peers.flask_app", str(release), str(port))
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=quiet, stderr=quiet) as process:
        try:
            _wait(lambda: not port_is_free(port), process, "the Flask peer")
            url = f"http://127.0.0.1:{port}/predict"
            send = lambda data: _session().post(url, files={"file": ("scan.png", data)}, timeout=600)  # noqa: E731
            yield Target(name, send, [process.pid])
        finally:
            process.terminate()


def unpacked(archive: Path, folder: Path) -> Path:
    """Our own archive's content, engine files included, in ``folder``."""
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    return folder
