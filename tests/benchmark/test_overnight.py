"""``scripts/benchmark --bulk`` on a tiny network: what it measures, and what it says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from benchmark.builds import Build
from benchmark.overnight import (
    DOOR,
    NODES,
    ONE,
    POOL,
    Amount,
    Clock,
    Found,
    begun,
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
def test_all_take_turns_over_the_same_slices_and_a_second_run_goes_on(packaged: Path, tmp_path: Path) -> None:
    door, amount, report = Door(), Amount(6, 1, 80), tmp_path / "report"
    found = begun(report, "1.0", amount)

    def kept() -> None:
        write(found, {"cores": 2}, report)
        if DOOR not in found.rates and POOL in found.rates:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        measure_rates("1.0", packaged, cast(Build, door), tmp_path / "first", found, kept)
    first, found = found.rates, begun(report, "1.0", amount)
    assert found.rates == first
    measure_rates("1.0", packaged, cast(Build, door), tmp_path / "second", found, kept)
    assert {name: len(rates) for name, rates in found.rates.items()} == {ONE: 1, POOL: 1, DOOR: 1}
    assert {ONE: found.rates[ONE], POOL: found.rates[POOL]} == first
    assert min(found.rates[ONE] + found.rates[POOL]) > 0
    assert len(door.came) == 6
    measure_many("1.0", packaged, tmp_path, found, kept)
    assert found.first_seconds.keys() == found.second_seconds.keys() == found.driver_mb.keys() == {4, 80}
    assert begun(report, "1.0", amount) == found
    for version, other in (("2.0", amount), ("1.0", Amount(7, 1, 80))):
        with pytest.raises(ValueError, match="give another --output"):
            begun(report, version, other)


def test_another_version_behind_the_door_is_no_comparison(packaged: Path, tmp_path: Path) -> None:
    from benchmark import overnight

    with pytest.raises(RuntimeError, match=r"answers with 2\.0"):
        overnight._at_the_door(cast(Build, Door("2.0")), slices(tmp_path / "in", 2), "1.0")


def test_no_two_slices_are_alike(tmp_path: Path) -> None:
    assert len({path.read_bytes() for path in slices(tmp_path / "in", 70).iterdir()}) == 70


def test_what_is_said() -> None:
    rates = {ONE: [10.0, 20.0], POOL: [19.0, 38.0], DOOR: [10.0, 19.0], NODES[1]: [10.0], NODES[2]: [19.5]}
    found = Found(2, "1.0", Amount(50, 2, 20, 30), rates, {1000: 9.0}, {1000: 1.5}, {1000: 90.0}, [0.125])
    text = markdown(found, {"cores": 2})
    assert "pool against 2 times one core in process: 0.95x" in text
    assert "pool against front door, 4 clients: 1.95x" in text
    assert "2 nodes of Ray against 1 node of Ray: 1.95x" in text
    assert "| 2 nodes of Ray | 30 | 19.5 |" in text
    assert "used 0.12 cores" in text
    assert "| 1000 | 9 | 1.5 | 90 |" in text


def test_the_clock_leaves_the_start_out() -> None:
    clock = Clock()
    clock.first, clock.last = (1, 100.0), (11, 105.0)
    assert clock.rate == 2.0
