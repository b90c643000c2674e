"""Every part, short, as a person would run it; and that a part notices what it is there to notice."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from archive.store import ROOT
from prove.parts import PARTS
from prove.record import JSON_FILE, PAGE_FILE
from prove.server import environment


# Servers are started and killed for some ten minutes.
@pytest.mark.long
@pytest.mark.server
@pytest.mark.timeout(3600)
def test_every_part_holds_short(tiny_store: Path, tmp_path: Path) -> None:
    command = [ROOT / "scripts" / "prove", "--short", "--model-store", tiny_store, "--out", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
    parts = json.loads((tmp_path / JSON_FILE).read_text())["parts"]
    failed = [f"{row['claim']}: {row['seen']}" for part in parts for row in part["rows"] if row["passed"] is False]
    # 300 requests say little about growth: that is judged by the whole run.
    assert [one for one in failed if "growth" not in one] == [], done.stdout + done.stderr
    assert [part["part"] for part in parts] == list(PARTS)
    assert all(len(part["rows"]) > 1 for part in parts)
    assert (tmp_path / "memory.png").exists()
    assert (tmp_path / PAGE_FILE).read_text().count("\n## ") == len(PARTS)
