"""Cost of a thousand scans: the arithmetic by hand, and the command over a run's own table."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bulk.cost import Cost, cost_of
from bulk.row import LOST
from scripts.commands.bulk_cost import main
from tests.bulk.conftest import Bulk, draw, rows


def row(kind: str | None, seconds: float, code: str | None = None) -> dict[str, object]:
    return {"format": kind, "seconds": seconds, "error_code": code}


def test_a_thousand_scans() -> None:
    found = cost_of([row("png", 0.1), row("png", 0.3), row("dicom", 7.2), row(None, 0.0, LOST)], 0.05, 0.5)
    assert [(one.kind, one.scans) for one in found] == [("dicom", 1), ("png", 2), ("all", 3)]
    assert found[0] == Cost("dicom", 1, 7.2, pytest.approx(4.0), pytest.approx(0.2))
    assert found[1].price == pytest.approx(1000 * 0.2 / 3600 / 0.5 * 0.05)
    assert found[2].core_seconds == pytest.approx(7.6 / 3)


def test_the_command_reads_a_runs_table(bulk: Bulk, tmp_path: Path) -> None:
    import typer

    source, out = draw(tmp_path / "in", 3), tmp_path / "out"
    (source / "broken.png").write_bytes(b"\x89PNG")
    bulk.alone(source, out)
    app = typer.Typer()
    app.command()(main)
    printed = CliRunner().invoke(app, [str(out), "--core-hour", "36", "--version", "1.0"])
    assert printed.exit_code == 0, printed.output
    mean = sum(one["seconds"] for one in rows(out)) / 4
    price = 1000 * mean / 3600 * 36
    told = [float(number) for number in re.findall(r"\d+\.\d{4}", printed.output)]
    assert any(abs(one - price) < 0.00006 for one in told), (price, printed.output)  # half of the last digit told
    assert "refused" in printed.output
    nothing = CliRunner().invoke(app, [str(tmp_path), "--core-hour", "1", "--version", "1.0"])
    assert nothing.exit_code == 2
    assert "no table of brainseg 1.0" in nothing.output
