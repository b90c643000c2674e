"""What rollouts are tested with: real archives that misbehave, a constant load, and the command itself."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import requests

from archive.digests import write_record
from archive.store import ROOT
from prove.releases import repack
from prove.server import Server, environment

CLIENTS = 4
ENGINE = "handler/engines/ncnn_engine.py"
CARD, MANIFEST = "model-card.json", "MAR-INF/MANIFEST.json"
RELEASE, ARCHIVE = "brainseg-1.0", "brainseg-1.0.mar"
# Stands for a network of some size: the tiny one is over in a few milliseconds, of which nobody could tell twice.
PAUSE_SECONDS = 0.15
LIMITS = """\
start: {seconds: 120}
quality: {required: false, slices: 6, dice_floor: 0.5, dice_drop: 0.02, calibration_ceiling: 1.0,
          calibration_rise: 0.05}
latency: {samples: 8, seconds: 120, median_ratio: 1.4, p95_ratio: 4.0, p95_seconds: 10, overhead_seconds: 0.3}
memory: {worker_mib: 3072, ratio: 2.0}
watch: {seconds: 4, every_seconds: 0.5, min_requests: 10, error_rate_rise: 0.02, p95_ratio: 8.0, probe_seconds: 1,
        failed_probes: 2}
drain: {grace_seconds: 0.5, seconds: 30}
keep_previous: 3
"""


def wrapped(body: str) -> bytes:
    """Python to append to the engine's module: ``body`` runs before each slice goes through the network."""
    return f"""

import os, time
_logits = NcnnEngine.logits


def logits(self, images):
    {body}
    return _logits(self, images)


NcnnEngine.logits = logits
""".encode()


def pausing(seconds: float) -> bytes:
    return wrapped(f"time.sleep({seconds})")


def appended(archive: Path, target: Path, code: bytes) -> Path:
    """``archive`` with ``code`` at the end of its engine's module."""
    return repack(archive, target, {ENGINE: lambda content: content + code})


@dataclass(frozen=True)
class Outcome:
    """``seconds``: how long the command took."""

    code: int
    out: str
    seconds: float


@dataclass
class Stage:
    """A server with 1.0 live, and the folder for archives and limits."""

    server: Server
    folder: Path

    @property
    def limits(self) -> Path:
        return self.folder / "limits.yaml"

    def command(self, *arguments: str | Path) -> list[str]:
        common = ["--state", self.server.state]
        if arguments[0] not in ("status", "history", "promote"):
            common += ["--limits", self.limits, "--operator", "tester"]
        return list(map(str, [ROOT / "scripts" / "deploy", *arguments, *common]))

    def deploy(self, *arguments: str | Path) -> Outcome:
        begin = time.monotonic()
        done = subprocess.run(
            self.command(*arguments), capture_output=True, text=True, timeout=300, check=False, env=environment()
        )
        return Outcome(done.returncode, done.stdout + done.stderr, time.monotonic() - begin)

    def history(self) -> list[dict[str, object]]:
        events: list[dict[str, object]] = json.loads(self.deploy("history", "--json").out)
        return events

    def served(self) -> list[str]:
        return sorted(entry["modelVersion"] for entry in self.server.describe())

    def default(self) -> str:
        url = f"{self.server.management}/models/brainseg"
        return str(requests.get(url, headers=self.server.auth("management"), timeout=120).json()[0]["modelVersion"])

    def declared(self) -> dict[str, object]:
        declared: dict[str, object] = json.loads((self.server.state / "deployment.json").read_text())
        return declared

    def archives(self) -> set[str]:
        """Digest-named archives in the model store."""
        return {path.name for path in self.server.store.glob("brainseg-*-*.mar")}


def make_stage(folder: Path, packaged: Path) -> Stage:
    """A server whose live version 1.0 takes :data:`PAUSE_SECONDS` longer than its network."""
    store = folder / "store"
    shutil.copytree(packaged / RELEASE, store / RELEASE)
    write_record(appended(packaged / ARCHIVE, store / ARCHIVE, pausing(PAUSE_SECONDS)))
    stage = Stage(Server(store, folder / "state"), folder)
    stage.limits.write_text(LIMITS)
    return stage


def make_hasty_stage(folder: Path, packaged: Path) -> Stage:
    """As :func:`make_stage`, with short waits between the steps and no judgement of speed: other tests run beside."""
    stage = make_stage(folder, packaged)
    limits = stage.limits.read_text()
    for strict, quick in (
        ("samples: 8", "samples: 5"),
        ("watch: {seconds: 4", "watch: {seconds: 2"),
        ("median_ratio: 1.4, p95_ratio: 4.0, p95_seconds: 10, overhead_seconds: 0.3",
         "median_ratio: 9999, p95_ratio: 9999, p95_seconds: 100, overhead_seconds: 10"),
        ("p95_ratio: 8.0, probe_seconds: 1,", "p95_ratio: 100, probe_seconds: 1,"),
        ("failed_probes: 2", "failed_probes: 50"),
        ("start: {seconds: 120}", "start: {seconds: 300}"),
    ):  # fmt: skip
        assert strict in limits
        limits = limits.replace(strict, quick)
    stage.limits.write_text(limits)
    return stage


@dataclass
class Load:
    """:data:`CLIENTS` clients that ask the default version without a pause, straight at TorchServe: the front door
    would try again where a worker was lost. ``failed``: what did not come back as 200."""

    server: Server
    scan: bytes
    versions: Counter[str] = field(default_factory=Counter)
    failed: list[tuple[float, str]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    order: list[str] = field(default_factory=list)

    def __enter__(self) -> Load:
        self._stop = threading.Event()
        self._begin = time.monotonic()
        self._threads = [threading.Thread(target=self._client, daemon=True) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(120)
        hung = sum(thread.is_alive() for thread in self._threads)
        self.failed += [(time.monotonic() - self._begin, "a client hangs")] * hung

    @property
    def answered(self) -> int:
        return sum(self.versions.values())

    def _client(self) -> None:
        with requests.Session() as session:
            session.headers.update({**self.server.auth(), "Content-Type": "image/png", "X-BrainSeg-Outputs": "none"})
            while not self._stop.is_set():
                begin = time.monotonic()
                try:
                    reply = session.post(self.server.url, data=self.scan, timeout=120)
                    fault = "" if reply.ok else f"{reply.status_code} {reply.text[:200]}"
                except requests.RequestException as error:
                    fault = repr(error)
                if fault:
                    self.failed.append((begin - self._begin, fault))
                    continue
                version = reply.json()["model"]["version"]
                self.seconds.append(time.monotonic() - begin)
                self.versions[version] += 1
                self.order.append(version)

    def __str__(self) -> str:
        ranked = sorted(self.seconds)
        median = ranked[len(ranked) // 2] if ranked else float("nan")
        p95 = ranked[int(0.95 * len(ranked))] if ranked else float("nan")
        by_version = ", ".join(f"{count} by {version}" for version, count in sorted(self.versions.items()))
        return (
            f"{self.answered} answered ({by_version}), {len(self.failed)} failed, "
            f"median {median * 1e3:.0f} ms, p95 {p95 * 1e3:.0f} ms"
        )


def sha256(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def untouched(stage: Stage, load: Load) -> None:
    """1.0 was live all the time, answered everybody, and nothing of the candidate is left."""
    assert load.failed == []
    assert set(load.versions) == {"1.0"}
    assert (stage.served(), stage.default()) == (["1.0"], "1.0")
    assert {name.rsplit("-", 1)[0] for name in stage.archives()} <= {"brainseg-1.0"}


def report(title: str, done: Outcome, load: Load) -> None:
    lines = [
        line
        for line in done.out.splitlines()
        if any(word in line for word in ("· gate", "deploy:", "· ROLL", "· watched"))
    ]
    print(f"\n{title}: exit {done.code} after {done.seconds:.1f} s; load: {load}")
    print("\n".join(f"    {line}" for line in lines), flush=True)
