"""The table of networks: found by packaging, a process a network, and what dies costs one row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from archive import networks
from archive.networks import Row, survey, tried
from handler.card import InputSpec
from handler.engines import ENGINES
from scripts.commands import encoders

pytestmark = pytest.mark.slow


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "InputSpec", lambda: InputSpec(64, 64))
    monkeypatch.setattr(networks, "ROUNDS", 1)


@pytest.mark.usefixtures("small")
def test_a_network_is_packaged_for_each_engine_and_weighed(tmp_path: Path) -> None:
    rows = {row.engine: row for row in tried("unet", "resnet18", tuple(ENGINES), tmp_path)}
    assert list(rows) == list(ENGINES)
    for name in ("onnxruntime", "ncnn", "torch"):
        row = rows[name]
        assert (row.reason, row.network) == ("", ("unet", "resnet18"))
        assert row.milliseconds is not None
        assert row.milliseconds > 0
    assert rows["torch"].megabytes == pytest.approx(14.3 * 2, rel=0.05), "float16"
    assert rows["ncnn"].megabytes == pytest.approx(14.3 * 4, rel=0.05)
    assert rows["torch"].difference == 0
    assert 0 < (rows["ncnn"].difference or 0) < 1e-3


@pytest.mark.usefixtures("small")
def test_a_pair_that_the_library_refuses_has_its_reason_everywhere(tmp_path: Path) -> None:
    rows = list(tried("deeplabv3", "vgg16", ("ncnn", "torch"), tmp_path))
    assert [row.engine for row in rows] == ["ncnn", "torch"]
    assert all("do not support dilated mode" in row.reason for row in rows)


def standing_in(monkeypatch: pytest.MonkeyPatch, bodies: list[str]) -> list[list[str]]:
    """Processes that do what ``bodies`` say, one after the other, in place of the survey's own; what each was asked."""
    asked: list[list[str]] = []

    def command(*arguments: str) -> list[str]:
        asked.append(list(arguments[4:]))
        return ["bash", "-c", bodies.pop(0)]

    monkeypatch.setattr(networks, "python", command)
    return asked


def line(engine: str) -> str:
    return json.dumps(Row("unet", "e", engine, "", 1.0, 2.0, 0.0).__dict__)


def test_an_engine_that_dies_or_hangs_costs_its_own_row(monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = [f"echo '{line('a')}'; echo 'it broke' >&2; kill -SEGV $$", f"echo '{line('c')}'; exec sleep 600"]
    asked = standing_in(monkeypatch, bodies)
    rows = survey("unet", "e", 15.0, ("a", "b", "c", "d"))
    assert asked == [["a", "b", "c", "d"], ["c", "d"]]
    assert [row.engine for row in rows] == ["a", "b", "c", "d"]
    assert rows[1].reason == "its process ended with code -11: it broke"
    assert rows[3].reason == "not done within 15 s"


def run(*arguments: object) -> Any:
    app = typer.Typer()
    app.command()(encoders.main)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_command_goes_on_where_it_stopped_and_writes_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, str]] = []

    asked: list[list[str]] = []

    def made(decoder: str, encoder: str, limit: float, engines: list[str]) -> list[Row]:
        seen.append((decoder, encoder))
        asked.append(engines)
        can = {name: Row(decoder, encoder, name, "", 12.3, 4.5, 1e-5) for name in ENGINES}
        can["ncnn"] = Row(decoder, encoder, "ncnn", "pnnx does not know `F.odd`")
        return [can[name] for name in engines]

    monkeypatch.setattr(encoders, "survey", made)
    page = tmp_path / "networks.md"
    options = ("--output", page, "--decoder", "unet", "--decoder", "fpn", "--encoder", "resnet18")
    done = run(*options)
    assert done.exit_code == 0, done.output
    assert seen == [("unet", "resnet18"), ("fpn", "resnet18")]
    text = page.read_text()
    assert "| fpn | resnet18 | 12 ms, 4 MB, 1e-05 | - | 12 ms, 4 MB, 1e-05 | 12 ms, 4 MB |" in text
    assert "- unet-resnet18, fpn-resnet18: not ncnn: `pnnx does not know 'F.odd'`" in text
    assert run(*options, "--encoder", "mit_b0").exit_code == 0
    assert seen[2:] == [("unet", "mit_b0"), ("fpn", "mit_b0")], "what is known is not tried again"
    kept = page.with_suffix(".jsonl")
    lost = '"fpn", "encoder": "mit_b0", "engine": "torch"'
    kept.write_text("".join(row for row in kept.read_text().splitlines(True) if lost not in row))
    assert "| fpn | mit_b0 | 12 ms, 4 MB, 1e-05 | - | 12 ms, 4 MB, 1e-05 | not tried |" in encoders.page(kept)
    assert run(*options, "--encoder", "mit_b0").exit_code == 0
    assert asked[-1] == ["torch"]
    assert run("--decoder", "unets").exit_code == 1
