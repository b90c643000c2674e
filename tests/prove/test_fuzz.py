"""Coverage-guided runs: their amount over turns, and what came of them."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from archive.store import ROOT
from prove import fuzz
from prove.fuzz import SECONDS
from prove.mutate import MUTATORS
from prove.parts import PARTS
from prove.proof import Claims, Ground


@pytest.mark.slow
def test_coverage_guided_runs_reach_our_code_and_add_up(tmp_path: Path) -> None:
    """The first ends by the clock, the second by the processor's time."""
    pytest.importorskip("atheris")
    kept: dict[str, Any] = {}
    seen: list[dict[str, Any]] = []
    for turn, ends in enumerate((0.0, math.inf)):
        effort = {SECONDS: int(seen[0][SECONDS]) + 1 if seen else 3600}
        folder, claims = tmp_path / str(turn), Claims("fuzz", 1, "command")
        fuzz.run(
            Ground(1, effort, tmp_path, folder, tmp_path, kept=kept, ends=ends, work=tmp_path, only=["png"]), claims
        )
        kept = json.loads(json.dumps(kept))  # as it is recorded
        assert [row.seen for row in claims.rows if row.passed is False] == []
        assert [row.claim for row in claims.rows if row.passed is None] == [
            f"{kind}: a coverage-guided run" for kind in MUTATORS if kind != "png"
        ]
        seen.append(kept["decoders"]["png"])
    assert kept["done"] == 0  # of all decoders
    assert [one["turns"] for one in seen] == [1, 2]
    assert 1 <= seen[0]["clock"] < 3600
    assert seen[0][SECONDS] < effort[SECONDS] <= seen[1][SECONDS]
    assert 10 < seen[0]["inputs"] < seen[1]["inputs"]
    assert len(list((tmp_path / "fuzz" / "png").iterdir())) > 3  # more than what it began with


def test_all_that_a_fuzzed_process_is_made_of_counts_for_its_record() -> None:
    """Else its seconds would go on to be counted for code that was never run."""
    atheris = "import sys, types, contextlib; a = sys.modules['atheris'] = types.ModuleType('atheris')\n"
    atheris += "a.instrument_imports = lambda **_: contextlib.nullcontext()\n"
    loaded = "print(*(getattr(module, '__file__', 0) for module in sys.modules.values()), sep='\\n')"
    code = f"{atheris}import prove.fuzzing, prove.drawn.whole\n{loaded}"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    ours = {Path(name).relative_to(ROOT) for name in ran.stdout.split("\n") if name.startswith(f"{ROOT}/")}
    ours = {name for name in ours if not name.parts[0].startswith(".")}  # .venv
    rooms = [Path(room) for room in PARTS["fuzz"].rooms]
    assert {Path("handler/pipeline.py"), Path("prove/mutate/png.py")} <= ours
    left_out = {name for name in ours if not any(name.is_relative_to(room) for room in rooms)}
    assert left_out == {Path("prove/__init__.py")}


def test_a_coverage_guided_run_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it runs is another program here, which leaves what libFuzzer leaves."""
    code = """import pathlib, sys
    state = pathlib.Path(sys.argv[2])
    state.write_text('{"inputs": 7, "seconds": 0.5, "clock": 0.75}')
    state.with_name("crash-1").touch()
    sys.exit("Error: frogs")"""
    code = code.replace("\n    ", "\n")
    monkeypatch.setattr(fuzz, "python", lambda *words: [sys.executable, "-c", code, *words[2:]])
    ground, claims = Ground(1, {SECONDS: 1}, tmp_path, tmp_path, tmp_path, work=tmp_path), Claims("fuzz", 1, "command")
    fuzz.decode("png", ground)
    fuzz.judge(ground.kept, claims)
    assert [row.passed for row in claims.rows] == [False, False, *[None] * (len(MUTATORS) - 1)]
    assert "7 inputs in 0 s of the processor (1 s)" in claims.rows[0].claim
    assert "crash-1: Error: frogs" in str(claims.rows[0].seen)


def test_two_commands_that_fuzz_at_once_lose_no_decoder_and_no_fault() -> None:
    def one(seconds: float, *faults: str) -> dict[str, Any]:
        return {SECONDS: seconds, "clock": 9, "inputs": 99, "turns": 1, "covered": [5, 6], "faults": list(faults)}

    claims = Claims("fuzz", 1, "command")
    first = {"decoders": {"png": one(20), "jpeg": one(10, "hung")}, "done": 0}
    second = {"decoders": {"zip": one(7), "jpeg": one(12, "raised")}}
    kept = fuzz.join(first, second, claims)
    found = kept["decoders"]
    assert {kind: found[kind][SECONDS] for kind in found} == {"png": 20, "jpeg": 12, "zip": 7}
    assert found["jpeg"]["faults"] == ["hung", "raised"]
    assert [row.passed for row in claims.rows].count(False) == 1
    assert kept["done"] == 0
    whole = fuzz.join(kept, {"decoders": dict.fromkeys(MUTATORS, one(15.5))}, Claims("fuzz", 1, "command"))
    assert whole["done"] == 15
    assert fuzz.join(kept, {}, Claims("fuzz", 1, "command"))["decoders"] == found
