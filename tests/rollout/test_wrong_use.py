"""``scripts/deploy`` given what cannot be meant: said before anything is looked at."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from rollout.errors import Exit
from scripts.commands import deploy


@pytest.mark.parametrize("every", ["0", "0s", "0.0m"])
def test_steps_of_no_time_are_refused(every: str) -> None:
    """0 means by hand: the first step would have lasted for ever, without a word."""
    done = CliRunner().invoke(deploy.app, ["canary", "x.mar", "--steps", "5,25", "--every", every])
    assert f"--every {every}: expected a time above 0" in done.output
    assert done.exit_code == Exit.USAGE
