"""Coverage-guided runs on each decoder, one process each (:mod:`prove.fuzzing`)."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path

from archive.programs import environment, python
from archive.store import ROOT
from prove.drawn.whole import whole_pictures, whole_volumes
from prove.mutate import MUTATORS, format_of
from prove.proof import Claims, Ground

SECONDS = "seconds"  # for each decoder
_RUNS = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
_COVERED = re.compile(r"cov: (\d+)")
_LEFT = ("crash-*", "timeout-*", "oom-*", "leak-*")


def corpus(kind: str, folder: Path) -> Path:
    """The whole scans of this format, a file each."""
    folder.mkdir(parents=True)
    for number, (name, data) in enumerate({**whole_pictures(), **whole_volumes()}.items()):
        if format_of(name) == kind:
            (folder / f"whole-{number}").write_bytes(data)
    return folder


def decode(kind: str, ground: Ground, claims: Claims) -> None:
    """One decoder for the effort's seconds. An input that it fails over is told by how it fails, and stays nowhere."""
    seconds, folder = ground.effort[SECONDS], ground.folder / kind
    command = python("-m", "prove.fuzzing", kind, str(corpus(kind, folder / "corpus")))
    command += ["--seconds", str(seconds), "--seed", str(ground.seed)]
    ran = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    runs, covered = _RUNS.search(ran.stderr), _COVERED.findall(ran.stderr)
    count = int(runs[1]) if runs else 0
    left = [path.name for pattern in _LEFT for path in folder.glob(pattern)]
    said = [line for line in ran.stderr.splitlines() if "ERROR" in line or "Error:" in line or "answered by" in line]
    faults = [f"{name}: {'; '.join(said)[:300]}" for name in left]
    if ran.returncode and not left:
        faults.append(f"status {ran.returncode}: {ran.stderr[-300:]}")
    reached = f"{covered[0]} -> {covered[-1]}" if covered else "none"
    ground.tell(f"{kind}: {count} inputs in {seconds} s, places in our code reached {reached}, {len(faults)} faults")
    claims.none(
        f"{kind}: {count:,} inputs in {seconds} s, places reached {reached}; 5xx, errors, hangs", faults, "inputs"
    )
    claims.at_least(f"{kind}: inputs that were run", 10, count, "inputs")


def run(ground: Ground, claims: Claims) -> None:
    """All decoders, one after the other."""
    if importlib.util.find_spec("atheris") is None:
        claims.skipped("a coverage-guided run", "atheris is not here (extra fuzz: pip install 'brainseg[fuzz]')")
        return
    for kind in MUTATORS:
        decode(kind, ground, claims)
