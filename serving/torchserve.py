"""One TorchServe of our own: its settings, its process, its end."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import psutil

from archive.programs import environment, python
from archive.store import KEY_FILE, MODEL_NAME, ROOT
from handler.files import write_atomic
from handler.resources import Plan
from handler.wanted import FOLDER_VARIABLE
from serving.ports import free_port
from serving.temporary import temporary_folder

STOP_SECONDS = 20
WORKER_START = ROOT / "serving" / "worker"
# glibc keeps memory for each thread: 45 MB of a worker's 400 after large and small requests; a front door has ninety.
# Of itself it also learns to keep arrays of up to 32 MiB once one was freed, and up to 64 MiB at the end of each arena:
# over mixed requests a pipeline then held 131 MiB at one look and 167 at the next, with 4 and 8 MiB 136 to 140. With 1
# and 2 MiB a worker begins with 310 MiB instead of 323; the time of the processor for a request stayed the same.
ARENAS = {
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": str(1 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(2 << 20),
}
# Each thread also has a cache of small blocks, which fills over thousands of requests: 62 to 68 MiB of a front door.
# Without it that took 51 MiB after 1,000 requests and after 4,000. Workers have few threads, and count on its speed.
MANY_THREADS = {**ARENAS, "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}


@dataclass(frozen=True)
class Ports:
    """TCP ports on loopback."""

    inference: int
    management: int
    metrics: int


@dataclass(frozen=True)
class Places:
    """Absolute folders. ``state``: keys, settings, logs; ``temporary``: sockets and unpacked archives."""

    state: Path
    temporary: Path
    model_store: Path

    @property
    def key_file(self) -> Path:
        return self.state / KEY_FILE

    @property
    def wanted(self) -> Path:
        """Files that tell workers which answers are still wanted (:mod:`handler.wanted`)."""
        return self.temporary / "wanted"

    @property
    def logs(self) -> Path:
        return self.state / "logs"


def make_places(state: Path, model_store: Path) -> Places:
    """Creates the folders in ``state``, which is ours (:mod:`serving.instance`), and the temporary one
    (:mod:`serving.temporary`)."""
    state = state.resolve()
    (state / "logs").mkdir(exist_ok=True)
    places = Places(state, temporary_folder(state), model_store.resolve())
    places.wanted.mkdir(mode=0o700)
    return places


def snapshot(
    archives: Mapping[str, str],
    default: str,
    plan: Plan,
    timeouts: Mapping[str, int],
    beside: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> str:
    """TorchServe's declarative list of models: the only form in which a default version can be given. ``archives``:
    file names in the model store, by version; ``beside``: likewise of each other model, one version at most."""
    models = {MODEL_NAME: _versions(archives, default, plan, timeouts)}
    for model, own in beside.items():
        if own:
            models[model] = _versions(own, next(iter(own)), plan, timeouts)
    count = sum(map(len, models.values()))
    return json.dumps({"name": "brainseg", "modelCount": count, "created": 0, "models": models}, separators=(",", ":"))


def _versions(
    archives: Mapping[str, str], default: str, plan: Plan, timeouts: Mapping[str, int]
) -> dict[str, dict[str, object]]:
    return {
        version: {
            "defaultVersion": version == default,
            "marName": archive,
            "minWorkers": plan.workers,
            "maxWorkers": plan.workers,
            "batchSize": plan.at_once,
            "maxBatchDelay": plan.delay_ms,
            "responseTimeout": timeouts["responseTimeout"],
            "startupTimeout": timeouts["startupTimeout"],
        }
        for version, archive in archives.items()
    }


def write_settings(places: Places, ports: Ports, models: str) -> Path:
    """``config.properties`` of this instance: the repository's, with what differs from instance to instance."""
    own = {
        "inference_address": f"http://127.0.0.1:{ports.inference}",
        "management_address": f"http://127.0.0.1:{ports.management}",
        "metrics_address": f"http://127.0.0.1:{ports.metrics}",
        "grpc_inference_port": str(free_port()),
        "grpc_management_port": str(free_port()),
        "initial_worker_port": str(free_port()),
        "model_store": str(places.model_store),
        "metrics_config": str(ROOT / "deploy" / "metrics.yaml"),
        "model_snapshot": models,
    }
    kept = [
        line
        for line in (ROOT / "config.properties").read_text(encoding="utf-8").splitlines()
        if line.split("=")[0].strip() not in own
    ]
    path = places.state / "config.properties"
    write_atomic(path, "\n".join([*kept, *(f"{name}={value}" for name, value in own.items()), ""]).encode())
    return path


def start(places: Places, settings: Path, java_home: Path, plan: Plan) -> subprocess.Popen[bytes]:
    """Starts TorchServe in a process group of its own, its working folder (where it writes its keys) the state."""
    places.key_file.unlink(missing_ok=True)
    # Without our rooms: what an archive holds is what its workers import.
    variables = {name: value for name, value in environment(ours=False).items() if not name.startswith("TS_")}
    variables |= {
        "JAVA_HOME": str(java_home),
        "TMPDIR": str(places.temporary),
        "TEMP": str(places.temporary),
        "LOG_LOCATION": str(places.logs),
        "METRICS_LOCATION": str(places.logs),
        "TS_DECODE_INPUT_REQUEST": "false",  # bodies reach the handler as bytes, whatever type a client gives them
        "BRAINSEG_THREADS": str(plan.threads),
        FOLDER_VARIABLE: str(places.wanted),
        **ARENAS,
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": str(WORKER_START),  # one module, which keeps PyTorch out of workers that do not run it
    }
    command = python("-m", "ts.model_server", "--start", "--foreground", "--ncs", "--ts-config", str(settings))
    command += ["--model-store", str(places.model_store), "--log-config", str(ROOT / "deploy" / "log4j2.xml")]
    with (places.logs / "console.log").open("wb") as console:
        return subprocess.Popen(
            command, cwd=places.state, env=variables, stdout=console, stderr=subprocess.STDOUT, start_new_session=True
        )


def stop(process: subprocess.Popen[bytes], places: Places) -> None:
    """Ends TorchServe, its JVM and its workers: asked first, forced after :data:`STOP_SECONDS`. Removes the keys and
    temporary files."""
    # The JVM first: its launcher waits for it, and would leave it an orphan if told to end at the same time.
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children():
            child.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    _signal_group(process, signal.SIGKILL)
    process.wait()
    places.key_file.unlink(missing_ok=True)
    shutil.rmtree(places.temporary, ignore_errors=True)


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # all gone already
        os.killpg(process.pid, number)
