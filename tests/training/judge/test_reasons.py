"""How explanations are judged, around a network that marks what is bright in FLAIR."""

from __future__ import annotations

import dataclasses
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from handler.card import InputSpec
from handler.decode import decode
from handler.pipeline import Model
from samples.make import png
from samples.phantom import draw
from scripts.commands import reasons as command
from tests.handler.models import FLAIR_CHANNEL, channel_rule, model
from training.data.cases import Pair
from training.data.slices import LabelledSlice
from training.judge import reasons
from training.judge.reasons import Row, judged, richest, table

SPEC = InputSpec(64, 64)
RULE = channel_rule(FLAIR_CHANNEL, 20.0, 0.6)


class Features(torch.nn.Module):
    """The input, and the same averaged over cells of 4."""

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        return [image, torch.nn.functional.avg_pool2d(image, 4)]


class Encoded(torch.nn.Module):
    """:data:`RULE` on the encoder's last features."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Features()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return RULE(torch.nn.functional.interpolate(self.encoder(image)[-1], scale_factor=4.0))


def labelled(case: str, seed: int, radius: float) -> LabelledSlice:
    phantom = draw(seed, radius)
    return LabelledSlice(Pair(case, 1, Path(), Path()), decode(png(phantom)), phantom.mask)


@pytest.fixture
def finder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Model:
    monkeypatch.setattr(reasons, "load", lambda *_: Encoded())
    return dataclasses.replace(model(RULE, batch=8, input=SPEC), folder=tmp_path)


def test_maps_of_a_detector_lie_in_the_tumour_and_its_answer_hangs_on_it(finder: Model) -> None:
    seen: list[int] = []
    rows = judged(finder, [labelled("a", 1, 0.1), labelled("b", 2, 0.0)], lambda found: seen.append(len(found)))
    assert seen == [4, 4]  # nothing is found in the healthy one
    assert {(row.method, row.question) for row in rows} == {
        (method, question) for method in ("gradcam", "occlusion") for question in ("verdict", "area")
    }
    for row in rows:
        assert row.heat_inside > 3 * row.area_inside > 0
        assert row.faithful
        assert row.important < row.random <= 1.01
        assert row.seconds > 0
    lines = table(rows)
    assert len(lines) == 2 + 4
    assert "| occlusion | area | 1 |" in lines[-1]


def test_a_model_without_files_is_refused() -> None:
    with pytest.raises(ValueError, match="no files"):
        judged(model(RULE), [], lambda _: None)


def test_of_a_case_the_slice_with_most_tumour() -> None:
    some = [labelled("a", 1, radius) for radius in (0.05, 0.12, 0.0)]
    assert richest(some) is some[1]


def test_the_table_is_of_medians() -> None:
    rows = [
        Row(f"case/{n}", "gradcam", "verdict", inside, 0.1, 0.5, 0.9, n == 0, 1.0)
        for n, inside in enumerate((0.2, 0.3, 0.9))
    ]
    assert table(rows)[2:] == ["| gradcam | verdict | 3 | 0.30 | 0.10 | 0.50 | 0.90 | 1 of 3 | 1.00 |"]


def test_the_command_keeps_rows_and_says_what_is_wrong(
    finder: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = finder.card.with_changes(data={"test": ["a", "b"]})
    monkeypatch.setattr(command, "open_model", lambda *_: dataclasses.replace(finder, card=card))
    by_name = {"a": labelled("a", 1, 0.1), "b": labelled("b", 2, 0.1)}
    monkeypatch.setattr(
        command, "find_pairs", lambda _: type("Found", (), {"pairs": [x.pair for x in by_name.values()]})
    )
    monkeypatch.setattr(command, "load_slice", lambda pair: by_name[pair.case])
    out = tmp_path / "rows.json"
    run = CliRunner().invoke(command.app, ["release", "--data", str(tmp_path), "--cases", "1", "--out", str(out)])
    assert run.exit_code == 0, run.output
    assert len(json.loads(out.read_text())) == 4
    assert "1 cases of test" in run.output
    assert CliRunner().invoke(command.app, ["release", "--data", str(tmp_path), "--side", "left"]).exit_code == 1
    assert CliRunner().invoke(command.app, ["release", "--data", str(tmp_path), "--side", "train"]).exit_code == 1
    assert np.isfinite([row["heat_inside"] for row in json.loads(out.read_text())]).all()


@pytest.mark.parametrize(
    ("cases", "most", "chosen"),
    [
        (18, 6, [0, 3, 6, 9, 12, 15]),  # those of docs/reasons.md
        (11, 6, [0, 1, 3, 5, 7, 9]),
        (11, 3, [0, 3, 7]),
        (5, 4, [0, 1, 2, 3]),
        (3, 9, [0, 1, 2]),
    ],
)
def test_the_cases_are_spread_over_all_of_them(cases: int, most: int, chosen: list[int]) -> None:
    names = [f"case {number}" for number in range(cases)]
    assert command.spread(names, most) == [names[number] for number in chosen]


def test_no_gap_between_the_cases_is_wider_than_another_by_more_than_one() -> None:
    for cases in range(1, 40):
        for most in range(1, cases + 1):
            found = [int(name) for name in command.spread([str(n) for n in range(cases)], most)]
            gaps = {after - before for before, after in pairwise([*found, cases])}
            assert (found[0], len(found)) == (0, most)
            assert max(gaps) - min(gaps) <= 1
