"""``scripts/release`` given what its network has no use for."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from scripts.commands import release
from training.fit.recipe import load_recipe


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
