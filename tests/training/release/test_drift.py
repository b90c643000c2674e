"""The reference for drift: counted over one side's slices by the handler itself."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from scripts.commands.drift import app
from web.health.drift import counts_of


def test_the_command_counts_the_validation_slices(release: Path, phantoms: Path, tmp_path: Path) -> None:
    out = tmp_path / "trust.json"
    done = CliRunner().invoke(app, ["reference", str(release), "--data", str(phantoms), "--out", str(out)])
    assert done.exit_code == 0, done.output
    block = json.loads(out.read_text())["drift"]
    counts = counts_of(block)
    assert counts is not None
    assert block["side"] == "validation"
    assert block["cases"] == len(json.loads((release / "model-card.json").read_text())["data"]["validation"])
    assert sum(counts["max_probability"]) == sum(counts["verdict"]) == block["slices"] > 0
    wrong = CliRunner().invoke(
        app, ["reference", str(release), "--data", str(phantoms), "--out", str(out), "--side", "x"]
    )
    assert wrong.exit_code == 1
