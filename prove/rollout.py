"""Deploys, canaries and rollbacks under load, killed at random moments: patient clients lose nothing, and what is
declared, served and answered is the same after each."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from archive.digests import write_record
from archive.store import ROOT, archive_path, default_version
from brainseg_client import Client
from prove.asking import get
from prove.drawn.pictures import png
from prove.killed import CLIENTS, Kept, Reader
from prove.proof import Claims, Ground
from prove.releases import versioned
from prove.server import Server, environment
from prove.stand import served
from samples.phantom import draw

KILLS = "kills"
SCANS = 6
TAKEN_BACK_SECONDS = 300.0
# Short waits between the steps, and no judgement of speed: four clients run beside it, on purpose.
LIMITS = """\
start: {seconds: 300}
quality: {required: false, slices: 6, dice_floor: 0.5, dice_drop: 0.02, calibration_ceiling: 1.0,
          calibration_rise: 0.05}
latency: {samples: 5, seconds: 120, median_ratio: 9999, p95_ratio: 9999, p95_seconds: 100, overhead_seconds: 10}
memory: {worker_mib: 3072, ratio: 5.0}
watch: {seconds: 2, every_seconds: 0.5, min_requests: 10, error_rate_rise: 0.02, p95_ratio: 100, probe_seconds: 1,
        failed_probes: 50}
drain: {grace_seconds: 0.5, seconds: 60}
keep_previous: 3
canary: {false_alarms: 0.05, error_rate_rise: 0.5, latency_ratio: 100, verdict_shift: 0.5, refusal_shift: 0.5,
         coverage_shift: 0.5, min_requests: 5}
shadow: {false_alarms: 0.05, disagreement: 0.5, flips: 0.5, failures: 0.5, min_compared: 10}
"""
WORDS = ("release", "canary", "rollback")


@dataclass
class Stage:
    """A server, the archives to go between by version, and where the limits are."""

    server: Server
    archives: dict[str, Path]
    limits: Path

    def command(self, *words: str | Path) -> list[str]:
        """``scripts/deploy`` with ``words``."""
        common: list[str | Path] = ["--state", self.server.state]
        if words[0] != "status":
            common += ["--limits", self.limits, "--operator", "prove"]
        return [str(ROOT / "scripts" / "deploy"), *map(str, [*words, *common])]

    def start(self, *words: str | Path) -> subprocess.Popen[bytes]:
        """Begins."""
        quiet = subprocess.DEVNULL
        return subprocess.Popen(self.command(*words), stdout=quiet, stderr=quiet, env=environment())

    def done(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """From begin to end."""
        return subprocess.run(
            self.command(*words), capture_output=True, text=True, check=False, env=environment(), timeout=900
        )

    def live(self) -> str:
        """The version that answers when none is named, as the front door says. While TorchServe is busy it says 503 and
        when to come again, and is asked again. Raises ``TimeoutError`` with its last answer."""
        deadline = time.monotonic() + TAKEN_BACK_SECONDS
        while (reply := get(f"{self.server.door}/api/v1/models", timeout=120)).status_code == 503:
            if time.monotonic() > deadline:
                raise TimeoutError(f"/api/v1/models: {reply.status_code} {reply.text[:200]}")
            time.sleep(1)
        reply.raise_for_status()
        return str(reply.json()["default"])

    def words(self, kind: str) -> tuple[str | Path, ...]:
        """What is typed for one of :data:`WORDS`."""
        other = next(version for version in self.archives if version != self.live())
        if kind == "canary":
            return ("canary", self.archives[other], "--steps", "50,90", "--every", "2s", "--by", "request")
        return ("rollback",) if kind == "rollback" else ("release", self.archives[other])


def inconsistent(stage: Stage, scan: bytes) -> list[str]:
    """Where what is declared, served and answered differ; empty where they agree."""
    server = stage.server
    declared = json.loads((server.state / "deployment.json").read_text(encoding="utf-8"))
    live = str(declared["live"]["version"])
    url = f"{server.management}/models/brainseg"
    default = get(url, headers=server.auth("management"), timeout=120).json()[0]["modelVersion"]
    listed = sorted(str(one["modelVersion"]) for one in server.describe())
    expected = sorted(str(one["version"]) for one in [declared["live"], *declared["served"]])
    told = stage.live()
    reply = server.post(scan)
    said = reply.json()["model"]["version"] if reply.ok else f"{reply.status_code} {reply.text[:80]}"
    held = [str(declared[name]) for name in ("change",) if declared.get(name)]
    missing = [one["archive"] for one in declared["served"] if not (server.store / one["archive"]).exists()]
    checks = {
        "TorchServe's default": (default, live),
        "versions in TorchServe": (listed, expected),
        "the front door's default": (told, live),
        "the answer's version": (said, live),
        "left under way": (held, []),
        "archives that are gone": (missing, []),
    }
    return [f"{name}: {seen}, expected {wanted}" for name, (seen, wanted) in checks.items() if seen != wanted]


def settle(stage: Stage) -> str:
    """After a kill the next command cleans up, as docs/operations.md says; what is wrong with that, or empty. One
    whose watch was killed is taken back by the server, which takes its time."""
    deadline = time.monotonic() + TAKEN_BACK_SECONDS
    while True:
        ran = stage.done("release", stage.archives[next(v for v in stage.archives if v != stage.live())])
        if ran.returncode == 0:
            return ""
        if time.monotonic() > deadline:
            return f"the next deploy ended with {ran.returncode}: {(ran.stdout + ran.stderr)[-200:]}"
        time.sleep(1)


def take_turns(stage: Stage, ground: Ground, scan: bytes, kept: Kept, claims: Claims) -> None:
    """Each kind whole once, then killed at moments that the seed chooses out of what it took."""
    took: dict[str, float] = {}
    wrong: list[str] = ground.kept.setdefault("wrong", [])
    for kind in ("release", "canary", "rollback"):
        begin = time.monotonic()
        ran = stage.done(*stage.words(kind))
        took[kind] = time.monotonic() - begin
        if ran.returncode != 0:
            wrong.append(f"{kind} ended with {ran.returncode}: {(ran.stdout + ran.stderr)[-300:]}")
        wrong += [f"after a whole {kind}: {one}" for one in inconsistent(stage, scan)]
        ground.tell(f"{kind}: {took[kind]:.1f} s")
    claims.none("release, canary and rollback, whole: what went wrong", wrong)
    torn: list[str] = ground.kept.setdefault("torn", [])
    while (number := kept.done) < ground.effort[KILLS] and not ground.late:
        kind = WORDS[number % len(WORDS)]
        chance = random.Random(f"{ground.seed}/{number}")  # noqa: S311  to be made again, not to be secret
        moment = chance.uniform(0, took[kind])
        process = stage.start(*stage.words(kind))
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        ended = process.wait()
        name = f"kill {number + 1}, {kind} after {moment:.1f} s"
        torn += [f"{name}: {fault}" for fault in [settle(stage)] if fault]
        torn += [f"{name}: {fault}" for fault in inconsistent(stage, scan)]
        kept.killed(kind if ended < 0 else f"{kind}, done before")
        ground.tell(f"{name}: {len(torn)} faults")
    claims.none(f"states that are not consistent after {kept.done} kills ({kept.told}) and the next deploy", torn)


def prove(server: Server, ground: Ground, claims: Claims) -> None:
    """On ``server``, whose store may be written to."""
    first = default_version(server.store)
    other = f"{first}9"
    limits = ground.folder / "limits.yaml"
    limits.write_text(LIMITS, encoding="utf-8")
    second = versioned(archive_path(first, server.store), ground.folder / f"second-{other}.mar", other)
    write_record(second)
    copied = ground.folder / f"first-{first}.mar"
    copied.write_bytes(archive_path(first, server.store).read_bytes())
    stage = Stage(server, {first: write_record_of(copied), other: second}, limits)
    scans = [png(draw(number, 0.08).image) for number in range(SCANS)]
    right = [Client(server.door).segment(scan, outputs=()).tumor_pixels or 0 for scan in scans]
    readers, kept = [Reader(server.door, scans, right, own) for own in range(CLIENTS)], Kept(ground.kept)
    for reader in readers:
        reader.start()
    try:
        take_turns(stage, ground, scans[0], kept, claims)
    finally:
        for reader in readers:
            reader.stop()
    kept.read(readers)
    claims.at_least("answers that came meanwhile", CLIENTS, kept.answers, "answers")
    claims.none("requests lost or answered wrongly", kept.faults, "requests")
    claims.shown("longest that a client waited", round(kept.gap, 1), "s")


def write_record_of(archive: Path) -> Path:
    """``archive`` with its digest beside it."""
    write_record(archive)
    return archive


def run(ground: Ground, claims: Claims) -> None:
    """On a server of its own."""
    with served(ground.store, ground.folder) as server:
        prove(server, ground, claims)
