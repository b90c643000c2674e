"""Coverage-guided runs on each decoder, one process each (:mod:`prove.fuzzing`). Seconds are the processor's: one by
the clock says little on a machine that has other work. They add up over turns, and what has reached new code is begun
with in the next."""

from __future__ import annotations

import importlib.util
import json
import math
import re
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from archive.programs import environment, python
from archive.store import ROOT
from prove.drawn.whole import whole_pictures, whole_volumes
from prove.mutate import MUTATORS, format_of
from prove.proof import Claims, Ground

SECONDS = "seconds"  # of the processor, for each decoder
_COVERED = re.compile(r"cov: (\d+)")
_LEFT = ("crash-*", "timeout-*", "oom-*", "leak-*")
Kept = Mapping[str, Any]


def corpus(kind: str, folder: Path) -> Path:
    """The whole scans of this format, a file each."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, data) in enumerate({**whole_pictures(), **whole_volumes()}.items()):
        if format_of(name) == kind:
            (folder / f"whole-{number}").write_bytes(data)
    return folder


def _of(kept: Kept, kind: str) -> dict[str, Any]:
    nothing = {SECONDS: 0.0, "clock": 0.0, "inputs": 0, "turns": 0, "covered": [], "faults": []}
    return {**nothing, **kept.get("decoders", {}).get(kind, {})}


def _done(kept: Kept) -> int:
    """Seconds that every decoder has had."""
    return int(min(_of(kept, kind)[SECONDS] for kind in MUTATORS))


def decode(kind: str, ground: Ground, clock: float = math.inf) -> None:
    """What one decoder lacks of the effort's seconds, or ``clock`` seconds by the clock. An input that it fails over is
    told by how it fails, and stays nowhere."""
    before, folder, found = _of(ground.kept, kind), ground.folder / kind, ground.work / "fuzz" / kind
    found.mkdir(parents=True, exist_ok=True)
    whole, state = corpus(kind, folder / "whole"), folder / "state.json"
    command = python("-m", "prove.fuzzing", kind, str(state), str(found), str(whole))
    command += ["--seconds", f"{ground.effort[SECONDS] - before[SECONDS]:.2f}"]
    command += [] if math.isinf(clock) else ["--clock", f"{clock:.0f}"]
    command += ["--seed", str(ground.seed + before["turns"])]  # the same again would be the same inputs again
    ran = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    told = json.loads(state.read_text(encoding="utf-8")) if state.exists() else {}
    left = [path.name for pattern in _LEFT for path in folder.glob(pattern)]
    # atheris prints what was raised to the output; and not each library calls its errors so.
    printed = [*ran.stdout.splitlines(), *ran.stderr.splitlines()]
    said = [line for line in printed if re.search(r"ERROR|(Error|Exception)\b|answered by", line)]
    faults = [f"{name}: {'; '.join(said)[:300]}" for name in left]
    if ran.returncode and not left:
        faults.append(f"status {ran.returncode}: {ran.stderr[-300:]}")
    places = [*before["covered"], *map(int, _COVERED.findall(ran.stderr))]
    after = {name: round(before[name] + told.get(name, 0), 2) for name in (SECONDS, "clock", "inputs")}
    after |= {"turns": before["turns"] + 1, "faults": [*before["faults"], *faults]}
    after["covered"] = [places[0], max(places)] if places else []
    ground.kept.setdefault("decoders", {})[kind] = after
    ground.tell(f"{kind}: {_told(after)}; {len(faults)} faults")


def _told(one: Kept) -> str:
    turns = f" in {one['turns']} turns" if one["turns"] > 1 else ""
    reached = " -> ".join(map(str, one["covered"])) or "none"
    took = f"{one[SECONDS]:,.0f} s of the processor ({one['clock']:,.0f} s){turns}"
    return f"{one['inputs']:,} inputs in {took}, places in our code reached {reached}"


def judge(kept: Kept, claims: Claims) -> None:
    """A decoder's rows are those of all its turns."""
    for kind in MUTATORS:
        one = _of(kept, kind)
        if not one["turns"]:
            claims.skipped(f"{kind}: a coverage-guided run", "not begun")
            continue
        claims.none(f"{kind}: {_told(one)}; 5xx, errors, hangs", one["faults"], "inputs")
        claims.at_least(f"{kind}: inputs that were run", 10, one["inputs"], "inputs")


def join(one: Kept, other: Kept, claims: Claims) -> dict[str, Any]:
    """What two turns at once came to. Of a decoder that both had, the longer counts, as both may have run the same
    inputs; what either has failed over, stays."""
    decoders = {}
    for kind in MUTATORS:
        both = sorted((_of(one, kind), _of(other, kind)), key=lambda each: float(each[SECONDS]))
        if both[1]["turns"]:
            faults = dict.fromkeys([*both[0]["faults"], *both[1]["faults"]])
            decoders[kind] = {**both[1], "faults": list(faults)}
    kept: dict[str, Any] = {**one, "decoders": decoders}
    kept["done"] = _done(kept)
    judge(kept, claims)
    return kept


def run(ground: Ground, claims: Claims) -> None:
    """The decoders that are wanted, one after the other; this turn's time is shared among those that lack some."""
    if importlib.util.find_spec("atheris") is None:
        claims.skipped("a coverage-guided run", "atheris is not here (extra fuzz: pip install 'brainseg[fuzz]')")
        ground.kept.setdefault("done", 0)
        return
    lacking = [kind for kind in ground.only or MUTATORS if _of(ground.kept, kind)[SECONDS] < ground.effort[SECONDS]]
    lacking.sort(key=lambda kind: float(_of(ground.kept, kind)[SECONDS]))
    for number, kind in enumerate(lacking):
        decode(kind, ground, max(1.0, (ground.ends - time.monotonic()) / (len(lacking) - number)))
    ground.kept["done"] = _done(ground.kept)
    judge(ground.kept, claims)
