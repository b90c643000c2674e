import json
from collections import Counter
from pathlib import Path

import pytest

from training.data.cases import Pair, institution_of
from training.data.split import SIDES, LeakError, Split, make_split, read_split, write_split
from training.fit.recipe import SplitRecipe

COUNTS = {"CS": 16, "DU": 45, "EZ": 1, "FG": 14, "HT": 34}  # the published set of 110
PAIRS = [
    Pair(f"TCGA_{name}_{number:04d}_20000101", slice_number, Path("i.tif"), Path("m.tif"))
    for name, count in COUNTS.items()
    for number in range(count)
    for slice_number in range(3)
]
DEFAULT = SplitRecipe(0.7, 0.1, 0.2)


@pytest.mark.parametrize("shares", [(0.7, 0.1, 0.2), (0.8, 0.1, 0.1), (0.34, 0.33, 0.33)])
@pytest.mark.parametrize("seed", range(5))
def test_no_case_is_on_two_sides_and_none_is_lost(shares: tuple[float, float, float], seed: int) -> None:
    split = make_split(PAIRS, SplitRecipe(*shares), seed)
    sides = [set(split.side(side)) for side in SIDES]
    assert sum(map(len, sides)) == len(set.union(*sides)) == 110
    selected = [pair for side in SIDES for pair in split.select(PAIRS, side)]
    assert sorted(selected) == sorted(PAIRS)
    for side, share in zip(sides, shares, strict=True):
        assert abs(len(side) - share * 110) < 1


def test_institutions_are_spread_as_far_as_counts_allow() -> None:
    split = make_split(PAIRS, DEFAULT, 1)
    for side, share in zip(SIDES, (0.7, 0.1, 0.2), strict=True):
        found = Counter(map(institution_of, split.side(side)))
        for name, count in COUNTS.items():
            assert abs(found[name] - share * count) < 2, (side, name)


def test_same_seed_same_split_whatever_the_order_of_pairs() -> None:
    assert make_split(PAIRS, DEFAULT, 5) == make_split(PAIRS[::-1], DEFAULT, 5)
    assert make_split(PAIRS, DEFAULT, 5) != make_split(PAIRS, DEFAULT, 6)


def test_by_slice_leaks_and_says_so() -> None:
    split = make_split(PAIRS, SplitRecipe(0.8, 0.1, 0.1, by="slice"), 1)
    assert split.leaks
    trained = {pair.case for pair in split.select(PAIRS, "train")}
    assert trained & {pair.case for pair in split.select(PAIRS, "test")}
    assert not make_split(PAIRS, DEFAULT, 1).leaks


def test_a_file_with_a_case_on_two_sides_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"by": "case", "seed": 1, "train": ["a"], "validation": ["b"], "test": ["a"]}))
    with pytest.raises(LeakError, match="a is on the train and the test side"):
        read_split(path)


def test_written_and_read_is_the_same(tmp_path: Path) -> None:
    split = make_split(PAIRS, DEFAULT, 5)
    write_split(split, tmp_path / "split.json")
    assert read_split(tmp_path / "split.json") == split


def test_an_unknown_side_is_an_error() -> None:
    with pytest.raises(ValueError, match="train, validation, test"):
        Split("case", 1, (), (), ()).side("holdout")
