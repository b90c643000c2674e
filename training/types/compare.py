"""Two recipes of a classifier on what both have held out: the differences, with intervals over patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.data.cases import DataError
from training.types.figures import DRAWS, Ints, Judged, patient_draws, statistics


@dataclass(frozen=True)
class Difference:
    """A figure of both and the second's less the first's, with the ends of its 95 % interval."""

    name: str
    first: float
    second: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.second - self.first:+.3f} ({self.low:+.3f} to {self.high:+.3f})"


@dataclass(frozen=True)
class Compared:
    """How many slices of how many patients both have judged, and the figures that both have."""

    slices: int
    patients: int
    differences: tuple[Difference, ...]


def compare(first: Judged, second: Judged, apart: Sequence[str] = (), seed: int = 0, draws: int = DRAWS) -> Compared:
    """On the slices that both judged, but those of the classes in `apart`, by the same draws of patients: what is hard
    for both does not blur what sets them apart. A class that one of them alone knows may be named for a slice of
    another, and is wrong.

    Raises DataError where they have no slice in common, or name another class or patient for one."""
    left_out = {name for name, (kind, _) in zip(second.names, _told(second), strict=True) if kind in apart}
    both = sorted(set(first.names) & set(second.names) - left_out)
    if not both:
        raise DataError("no slice was held out by both; compare recipes on the same parts")
    one, two = _only(first, both), _only(second, both)
    for name, *told in zip(both, _told(one), _told(two), strict=True):
        if told[0] != told[1]:
            raise DataError(f"{name} is {told[0]} in one run and {told[1]} in the other: they are of different data")
    wanted, also = statistics(one), statistics(two)
    every, drawn = np.arange(len(both)), patient_draws(one, seed, draws)
    found = []
    for name in (name for name in wanted if name in also):
        values = [also[name](rows) - wanted[name](rows) for rows in drawn]
        low, high = np.nanpercentile(values, [2.5, 97.5])
        found.append(Difference(name, wanted[name](every), also[name](every), float(low), float(high)))
    return Compared(len(both), len(set(one.owner)), tuple(found))


def _only(judged: Judged, names: Sequence[str]) -> Judged:
    at = {name: row for row, name in enumerate(judged.names)}
    rows: Ints = np.array([at[name] for name in names])
    return judged.only(rows)


def _told(judged: Judged) -> list[tuple[str, str]]:
    return [(judged.classes[kind], owner) for kind, owner in zip(judged.truth, judged.owner, strict=True)]
