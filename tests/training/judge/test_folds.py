"""A cross-validation judged: two runs that held out half of the phantoms each, scored as one."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from handler.scan import ArraySource
from tests.training.conftest import call
from training.data.cases import find_pairs
from training.data.slices import load_slices
from training.data.split import Fold, fold_of_every_case, write_split
from training.fit.architecture import input_spec
from training.fit.recipe import load_recipe
from training.judge.calibrate import choose, fit_calibration
from training.judge.folds import as_published, as_served, judge_part, largest_component, read_runs, settings_of
from training.judge.kinds import kinds_of
from training.judge.marks import put_between
from training.judge.predictor import SourceError

pytestmark = pytest.mark.training
SILENT = lambda title, total: lambda: None  # noqa: E731


@pytest.fixture(scope="module")
def runs(smoke_run: Path, phantoms: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two folders as two folds leave them. The network is the smoke run's in both, which tells nothing of the figures
    and all of the way to them."""
    made = []
    for which in (1, 2):
        folder = tmp_path_factory.mktemp("runs") / f"part-{which}"
        shutil.copytree(smoke_run, folder)
        write_split(fold_of_every_case(find_pairs(phantoms).pairs, "case", 5, Fold(which, 2)), folder / "split.json")
        made.append(folder)
    return made


def test_one_table_of_all_cases(runs: list[Path], phantoms: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Title\n\nWhat people wrote.\n")
    done = call("folds", *runs, "--data", phantoms, "--out", tmp_path / "out", "--output", page, "--threads", "1")
    assert done.code == 0, done.error
    found = json.loads((tmp_path / "out" / "folds.json").read_text())
    cases = sorted(find_pairs(phantoms).cases)
    for way in ("published", "served"):
        assert sorted(row["case"] for row in found[way]["cases"]) == cases
        by_name = {figure["name"]: figure for figure in found[way]["figures"]}
        mean = np.mean([row["dice"] for row in found[way]["cases"]])
        assert by_name["dice_case_mean"]["value"] == pytest.approx(mean)
        assert by_name["dice_case_mean"]["low"] <= mean <= by_name["dice_case_mean"]["high"]
    assert sorted(case for part in found["parts"].values() for case in part["cases"]) == cases
    written = page.read_text()
    assert written.startswith("# Title\n\nWhat people wrote.\n")
    assert f"{len(cases)} of {len(cases)} cases" in written
    assert "not judged" not in written
    assert "| 0.836 |" in written
    assert found["published"]["cases"][0]["case"] in written  # the worst


def test_a_part_that_is_missing_is_said(runs: list[Path], phantoms: Path, tmp_path: Path) -> None:
    some = [Path(shutil.copytree(runs[0], tmp_path / str(which))) for which in (1, 2)]
    for which, folder in enumerate(some, 1):
        split = fold_of_every_case(find_pairs(phantoms).pairs, "case", 5, Fold(which, 5))
        write_split(split, folder / "split.json")
    done = call("folds", *some, "--data", phantoms, "--out", tmp_path / "out", "--partial", "--threads", "1")
    assert done.code == 0, done.error
    assert "4 of 10 cases" in done.out
    assert "**The other 6 cases are not judged.**" in done.out


def test_a_part_is_judged_by_what_the_others_chose(runs: list[Path], phantoms: Path) -> None:
    listing = find_pairs(phantoms)
    parts = [judge_part(run, listing, SILENT) for run in read_runs(runs, listing)]
    assert not {item.pair.case for item in parts[0].slices} & {item.pair.case for item in parts[1].slices}
    chosen = settings_of(parts, 0)
    other, spec = parts[1], input_spec(load_recipe("smoke"))
    calibration = fit_calibration(other.logits, [item.mask_on(spec) for item in other.slices])
    assert chosen.calibration == calibration
    assert chosen.choice == choose(other.logits, other.slices, calibration)[0]
    # Worse slices of its own part change nothing: they are not asked.
    spoilt = replace(parts[0], logits=tuple(-one for one in parts[0].logits))
    assert settings_of([spoilt, other], 0) == chosen
    assert settings_of([spoilt, other], 1) != settings_of(parts, 1)
    assert len(as_served(parts[0], chosen)) == len(parts[0].slices)


def test_as_published_keeps_the_largest_of_a_volume(runs: list[Path], phantoms: Path) -> None:
    listing = find_pairs(phantoms)
    part = judge_part(read_runs(runs, listing)[0], listing, SILENT)
    case = part.slices[0].pair.case
    own = [item for item in part.slices if item.pair.case == case][:3]
    shape = part.logits[0].shape
    logits = [np.full(shape, -9.0, np.float32) for _ in own]
    logits[0][10:20, 10:20] = logits[1][20:30, 20:30] = 9.0  # touch by a corner, across slices
    logits[2][40:52, 40:52] = 9.0  # larger than either, smaller than both
    small = replace(part, slices=tuple(own), logits=tuple(logits))
    found = sorted(as_published(small), key=lambda score: score.number)
    assert [score.found for score in found] == [100, 100, 0]


def test_a_part_that_still_trains_is_not_judged(runs: list[Path], phantoms: Path, tmp_path: Path) -> None:
    begun = shutil.copytree(runs[0], tmp_path / "begun")
    content = torch.load(begun / "last.ckpt", weights_only=True)
    torch.save({**content, "epoch": content["epoch"] - 1}, begun / "last.ckpt")
    listing = find_pairs(phantoms)
    with pytest.raises(SourceError, match="begun has trained 2 of 3 epochs"):
        judge_part(read_runs([begun, runs[1]], listing)[0], listing, SILENT)


def test_largest_component() -> None:
    volume = np.zeros((2, 4, 4), bool)
    assert largest_component(volume) is volume
    volume[0, 0, 0] = volume[1, 2:, 2:] = True
    kept = largest_component(volume)
    assert not kept[0].any()
    assert kept[1].sum() == 4


def test_what_is_no_cross_validation(runs: list[Path], phantoms: Path, tmp_path: Path) -> None:
    def refused(*folders: Path) -> str:
        done = call("folds", *folders, "--data", phantoms, "--out", tmp_path / "out")
        assert done.code == 1, done.out
        return done.error

    assert "expected 2 runs or more" in refused(runs[0])
    less = Path(shutil.copytree(runs[0], tmp_path / "less"))
    split = json.loads((less / "split.json").read_text())
    (less / "split.json").write_text(json.dumps({**split, "test": split["test"][1:]}))
    assert "give all parts" in refused(less, runs[1])
    assert "held out in two runs" in refused(runs[0], runs[0])
    assert "expected the folder" in refused(runs[0], tmp_path)

    def changed(name: str) -> Path:
        return Path(shutil.copytree(runs[1], tmp_path / name))

    other = changed("other")
    recipe = json.loads((other / "recipe.json").read_text())
    older = {key: value for key, value in recipe.items() if key != "new_cases"}  # as a build without it wrote it
    (other / "recipe.json").write_text(json.dumps(older))
    assert len(read_runs([runs[0], other], find_pairs(phantoms))) == 2
    (other / "recipe.json").write_text(json.dumps({**recipe, "seed": 99}))
    assert "another recipe" in refused(runs[0], other)

    by_slice = changed("by-slice")
    split = json.loads((by_slice / "split.json").read_text())
    (by_slice / "split.json").write_text(json.dumps({**split, "by": "slice"}))
    assert "by slice" in refused(runs[0], by_slice)

    seen = changed("seen")
    (seen / "start.json").write_text(
        json.dumps({"kind": "network", "name": "x", "sha256": "y", "cases": split["test"]})
    )
    assert "was trained on" in refused(runs[0], seen)


def test_kinds_are_told_from_slices_alone(phantoms: Path) -> None:
    listing = find_pairs(phantoms)
    cases = {case: load_slices([pair for pair in listing.pairs if pair.case == case]) for case in sorted(listing.cases)}
    names = list(cases)
    copied, tiny, dim = names[0], names[1], names[2]
    cases[copied] = [with_pixels(item, lambda p: p[..., [1, 1, 2]]) for item in cases[copied]]
    cases[tiny] = [
        replace(item, mask=item.mask & (np.cumsum(item.mask).reshape(item.mask.shape) < 3)) for item in cases[tiny]
    ]
    cases[dim] = [with_pixels(item, lambda p, m=item.mask: np.where(m[..., None], p // 8, p)) for item in cases[dim]]
    found = kinds_of(cases)
    assert found["copied"] == {copied}
    assert tiny in found["small"]
    assert dim in found["dim"]
    assert len(found["small"]) == len(found["dim"]) == round(0.2 * len(cases))


def with_pixels(item, change):  # type: ignore[no-untyped-def]
    pixels = change(item.scan.pixels[0])[None]
    return replace(item, scan=replace(item.scan, source=ArraySource(pixels)))


def test_marks() -> None:
    assert put_between("a\n", "1\n", "<", ">") == "a\n\n<\n1\n>\n"
    assert put_between("a<old>b", "1\n", "<", ">") == "a<\n1\n>b"
