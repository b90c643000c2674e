"""``scripts/release`` given what its network has no use for."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from typer.testing import CliRunner

from scripts.commands import release
from training.data.cases import DataError
from training.fit.recipe import load_recipe
from training.release.card import Trained
from training.release.regions import _read_judged


@pytest.mark.parametrize(
    ("recipe", "option", "kind"),
    [
        ("smoke", ["--licence", "CC0 1.0"], "of one class"),
        ("smoke", ["--data-set", "drawn heads"], "of one class"),
        ("smoke", ["--judged", "report.json"], "of one class"),
        ("smoke-regions", ["--twin", "model_store/brainseg-2.0"], "of several classes"),
    ],
)
def test_an_option_of_another_kind_of_network_is_refused(
    recipe: str, option: list[str], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A licence that was given went nowhere, and its absence from the card was seen by nobody."""
    monkeypatch.setattr(release, "read_checkpoint", lambda _: SimpleNamespace(recipe=load_recipe(recipe)))
    done = CliRunner().invoke(release.app, ["last.ckpt", "--version", "0.9", "--out", "none", *option])
    assert f"{option[0]}: not for a network {kind}" in done.output
    assert done.exit_code == 1


@pytest.mark.parametrize("side", ["all", "train"])
def test_figures_of_patients_that_were_trained_on_are_not_those_of_who_was_left_out(side: str, tmp_path: Path) -> None:
    trained = cast(Trained, SimpleNamespace(recipe=load_recipe("smoke-regions")))
    report: dict[str, Any] = {"origin": {"recipe": "smoke-regions"}, "side": side, "cases": []}
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report))
    with pytest.raises(DataError, match=f"side {side}; expected smoke-regions, side validation or test"):
        _read_judged((path,), trained)
    path.write_text(json.dumps(report | {"side": "test"}))
    assert _read_judged((path,), trained) == ()
