"""``scripts/benchmark --bulk`` on a tiny network: what it measures, and what it says of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from benchmark.builds import Build
from benchmark.overnight import (
    DOOR,
    ONE,
    POOL,
    Amount,
    Clock,
    Found,
    markdown,
    measure_many,
    measure_rates,
    slices,
    write,
)


@dataclass
class Door:
    """A front door that only counts."""

    default: str = "1.0"
    came: list[int] = field(default_factory=list)

    def knock(self, data: bytes, headers: Mapping[str, str]) -> None:
        assert headers == {"X-BrainSeg-Outputs": "mask"}
        self.came.append(len(data))


@pytest.mark.slow
def test_all_take_turns_over_the_same_slices(packaged: Path, tmp_path: Path) -> None:
    door, steps = Door(), []
    found = measure_rates("1.0", packaged, cast(Build, door), tmp_path, Amount(6, 1), lambda: steps.append(1))
    assert {name: len(rates) for name, rates in found.rates.items()} == {ONE: 1, POOL: 1, DOOR: 1}
    assert min(found.rates[ONE] + found.rates[POOL]) > 0
    assert len(door.came) == 6
    assert len(steps) == 3
    measure_many("1.0", packaged, tmp_path, (4,), found, lambda: steps.append(1))
    assert found.first_seconds.keys() == found.second_seconds.keys() == found.driver_mb.keys() == {4}
    write(found, {"cores": 2}, tmp_path / "report")
    assert json.loads((tmp_path / "report" / "bulk.json").read_text())["rates"] == found.rates


def test_another_version_behind_the_door_is_no_comparison(packaged: Path, tmp_path: Path) -> None:
    from benchmark import overnight

    with pytest.raises(RuntimeError, match=r"answers with 2\.0"):
        overnight._at_the_door(cast(Build, Door("2.0")), slices(tmp_path / "in", 2), "1.0")


def test_no_two_slices_are_alike(tmp_path: Path) -> None:
    assert len({path.read_bytes() for path in slices(tmp_path / "in", 70).iterdir()}) == 70


def test_what_is_said() -> None:
    found = Found(
        2, {ONE: [10.0, 20.0], POOL: [19.0, 38.0], DOOR: [10.0, 19.0]}, {1000: 9.0}, {1000: 1.5}, {1000: 90.0}
    )
    text = markdown(found, {"cores": 2})
    assert "2 times one core: 95 %" in text
    assert "front door: 1.95x" in text
    assert "| 1000 | 9 | 1.5 | 90 |" in text


def test_the_clock_leaves_the_start_out() -> None:
    clock = Clock()
    clock.first, clock.last = (1, 100.0), (11, 105.0)
    assert clock.rate == 2.0
