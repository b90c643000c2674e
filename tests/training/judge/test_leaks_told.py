"""An evaluation says what the weights had seen of the cases they are judged on, whichever cases it is asked for."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from handler.card import read_card
from scripts.commands.evaluate import app
from training.data.split import Split, write_split


def judge(source: Path, phantoms: Path, *more: str | Path) -> tuple[str, dict[str, Any], str]:
    """What the command prints, its report and its page (empty where it fails) of ``source``."""
    out = source.parent / "judged"
    shutil.rmtree(out, ignore_errors=True)
    arguments = [source, "--data", phantoms, "--out", out, "--no-slices", *more]
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if done.exit_code:
        assert isinstance(done.exception, SystemExit)
        return done.output, {}, ""
    return done.output, json.loads((out / "report.json").read_text()), (out / "report.html").read_text()


@pytest.fixture
def copy(release: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(release, tmp_path / "brainseg-0.1"))


def test_weights_of_a_split_by_slice_leak_on_every_side(copy: Path, phantoms: Path, tmp_path: Path) -> None:
    card = read_card(copy)
    by_slice = {**card.data["split"], "by": "slice", "leaks": True}
    replace(card, data={**card.data, "split": by_slice}).write(copy)
    by_case = tmp_path / "by-case.json"
    write_split(Split("case", 1, (), tuple(card.data["validation"]), tuple(card.data["test"])), by_case)
    for more in (("--side", "all"), ("--split", by_case), ("--side", "validation", "--split", by_case)):
        said, report, page = judge(copy, phantoms, *more)
        assert report["split_leaks"] is True
        assert page.count('class="leak"') == 1
        assert "must not be quoted as quality" in " ".join(said.split())


def test_a_split_of_others_cannot_make_training_cases_judge(copy: Path, phantoms: Path, tmp_path: Path) -> None:
    data = read_card(copy).data
    other = tmp_path / "other.json"
    write_split(Split("case", 1, tuple(data["test"]), tuple(data["validation"]), tuple(data["train"])), other)
    said, report, _ = judge(copy, phantoms, "--side", "test", "--split", other)
    assert report == {}
    assert f"was trained on {len(data['train'])} cases of this test side" in " ".join(said.split())
    _, report, _ = judge(copy, phantoms, "--side", "validation", "--split", other)  # which it has not seen
    assert report["cases_trained_on"] == 0


def test_of_all_cases_it_says_how_many_were_trained_on(copy: Path, phantoms: Path) -> None:
    data = read_card(copy).data
    count = len(data["train"])
    said, report, page = judge(copy, phantoms, "--side", "all")
    assert report["split_leaks"] is False
    assert report["cases_trained_on"] == count
    sentence = f"The weights were trained on {count} of these 10 cases"
    assert sentence in page
    assert sentence in " ".join(said.split())
    said, report, page = judge(copy, phantoms, "--side", "test")
    assert report["cases_trained_on"] == 0
    assert "were trained on" not in said + page
