"""``scripts/deploy`` given what cannot be meant: said before anything is looked at."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from archive.store import BESIDE
from rollout.errors import Exit
from scripts.commands import deploy, deploying


@pytest.mark.parametrize("every", ["0", "0s", "0.0m"])
def test_steps_of_no_time_are_refused(every: str) -> None:
    """0 means by hand: the first step would have lasted for ever, without a word."""
    done = CliRunner().invoke(deploy.app, ["canary", "x.mar", "--steps", "5,25", "--every", every])
    assert f"--every {every}: expected a time above 0" in done.output
    assert done.exit_code == Exit.USAGE


@pytest.mark.parametrize("model", BESIDE)
def test_scans_for_a_gate_that_there_is_none_of_are_refused(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It went live as if they had judged it."""
    archive = SimpleNamespace(card=SimpleNamespace(name=model))
    monkeypatch.setattr(deploying, "trusted_release", lambda *_: archive)
    done = CliRunner().invoke(deploy.app, ["release", "x.mar", "--scans", str(tmp_path)])
    assert f"--scans is for the gate of a segmentation, and {model} has none" in done.output
    assert done.exit_code == Exit.USAGE
