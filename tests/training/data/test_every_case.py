"""``--every-case``: parts of all cases, each judged by what was trained on the others."""

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.card import read_card
from settings.mapping import SettingsError
from training.data.cases import Pair
from training.data.split import Fold, Split, check, fold_of_every_case
from training.fit.recipe import load_recipe
from training.fit.run import Sides

pytestmark = pytest.mark.training
STORE = Path(__file__).parents[3] / "model_store"


def pairs_of(cases: list[str], slices: int = 2) -> list[Pair]:
    return [Pair(case, number, Path("a"), Path("b")) for case in cases for number in range(1, slices + 1)]


@given(st.tuples(*[st.integers(0, 12)] * 3).filter(lambda counts: sum(counts) >= 3), st.integers(2, 3), st.integers())
def test_every_case_is_held_out_once(counts: tuple[int, int, int], parts: int, seed: int) -> None:
    named = zip(("CS", "DU", "HT"), counts, strict=True)
    cases = [f"TCGA_{name}_{n:04d}_1" for name, count in named for n in range(count)]
    folds = [fold_of_every_case(pairs_of(cases), "case", seed, Fold(which, parts)) for which in range(1, parts + 1)]
    assert sorted(case for fold in folds for case in fold.test) == sorted(cases)
    for fold in folds:
        check(fold)
        assert fold.validation == ()
        assert sorted(fold.train + fold.test) == sorted(cases)
    sizes = [len(fold.test) for fold in folds]
    assert max(sizes) - min(sizes) <= 1
    for name, count in zip(("CS", "DU", "HT"), counts, strict=True):
        for fold in folds:
            assert abs(sum(f"_{name}_" in case for case in fold.test) - count / parts) < 2


def test_the_parts_that_were_trained_are_these() -> None:
    """docs/folds.md has figures of five runs: the option must go on dealing their cases."""
    data = read_card(STORE / "brainseg-2.1").data
    cases = sorted(case for side in ("train", "validation", "test") for case in data[side])
    assert len(cases) == 90
    recipe = load_recipe("light-folds")
    held = [
        fold_of_every_case(pairs_of(cases), recipe.split.by, recipe.seed, Fold(which, 5)).test for which in range(1, 6)
    ]
    assert [len(part) for part in held] == [18] * 5
    assert (
        hashlib.sha256(json.dumps(held).encode()).hexdigest()
        == "055f2ab0a3be49c9a630aed9363a165516933db98c5fdaca9078afb885b3b0d6"
    )


def test_slices_are_dealt_as_slices() -> None:
    fold = fold_of_every_case(pairs_of(["TCGA_CS_0001_1"], 6), "slice", 1, Fold(1, 3))
    assert fold.leaks
    assert (len(fold.train), len(fold.test)) == (4, 2)


def test_what_does_not_go_together(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="give it with --fold"):
        Sides(every_case=True)
    with pytest.raises(SettingsError, match="without --split"):
        Sides(tmp_path / "split.json", Fold(1, 2), every_case=True)
    with pytest.raises(SettingsError, match="only 2 members"):
        fold_of_every_case(pairs_of(["TCGA_CS_0001_1", "TCGA_CS_0002_1"]), "case", 1, Fold(1, 3))


def test_a_run_takes_its_part_of_all_cases(phantoms: Path) -> None:
    recipe = load_recipe("smoke")
    splits = [Sides(fold=Fold(which, 2), every_case=True).split(recipe, phantoms) for which in (1, 2)]
    assert splits[0].train == splits[1].test
    assert splits[1] != Sides(fold=Fold(2, 2)).split(recipe, phantoms)
    assert isinstance(splits[0], Split)
