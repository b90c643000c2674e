"""Who is trained on, who chooses, who judges: a seeded split by case, stratified by institution."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from handler.files import write_atomic
from training.cases import Pair, institution_of
from training.recipe import SplitRecipe
from training.settings import from_mapping

SIDES = ("train", "validation", "test")


class LeakError(ValueError):
    """A case is on more than one side of a split that is by case."""


@dataclass(frozen=True)
class Split:
    """Names on each side: cases, or slices as "case/number" when `by` is "slice" (which leaks)."""

    by: str
    seed: int
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    @property
    def leaks(self) -> bool:
        """True if slices of one head may be on two sides, so that scores measure memory."""
        return self.by == "slice"

    def side(self, name: str) -> tuple[str, ...]:
        if name not in SIDES:
            raise ValueError(f"no side {name!r} in a split; there are {', '.join(SIDES)}")
        members: tuple[str, ...] = getattr(self, name)
        return members

    def select(self, pairs: Sequence[Pair], name: str) -> tuple[Pair, ...]:
        """The pairs of one side, in their order."""
        members = set(self.side(name))
        return tuple(pair for pair in pairs if (pair.name if self.leaks else pair.case) in members)


def make_split(pairs: Sequence[Pair], recipe: SplitRecipe, seed: int) -> Split:
    """Draws a split; the same pairs, recipe and seed give the same split on every machine.

    By case: within each institution cases are shuffled, then dealt by largest remainder, so that every side has its
    share of every institution as far as counts allow, and the sides' totals match the shares of all cases.
    """
    if recipe.by == "slice":
        groups = {"all": sorted(pair.name for pair in pairs)}
    else:
        groups = _by_institution({pair.case for pair in pairs})
    rng = random.Random(seed)  # noqa: S311  # a split needs no secrecy
    shares = (recipe.train, recipe.validation, recipe.test)
    sides = _deal(groups, shares, rng)
    split = Split(recipe.by, seed, *(tuple(sorted(side)) for side in sides))
    check(split)
    return split


def _by_institution(cases: set[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for case in sorted(cases):
        groups[institution_of(case)].append(case)
    return dict(groups)


def _deal(groups: dict[str, list[str]], shares: tuple[float, ...], rng: random.Random) -> list[list[str]]:
    """Deals the members of each group out by share; what rounding leaves goes where the totals lag most."""
    total = sum(map(len, groups.values()))
    wanted = _round([share * total for share in shares], total)
    sides: list[list[str]] = [[] for _ in shares]
    rest: list[str] = []
    for name in sorted(groups):
        members = list(groups[name])
        rng.shuffle(members)
        start = 0
        for side, share in enumerate(shares):
            take = min(int(share * len(members) + 1e-9), wanted[side] - len(sides[side]))
            sides[side] += members[start : start + take]
            start += take
        rest += members[start:]
    rng.shuffle(rest)
    for member in rest:
        side = max(range(len(shares)), key=lambda index: wanted[index] - len(sides[index]))
        sides[side].append(member)
    return sides


def _round(amounts: list[float], total: int) -> list[int]:
    """Whole numbers near `amounts` that add up to `total` (largest remainder)."""
    counts = [int(amount + 1e-9) for amount in amounts]
    by_remainder = sorted(range(len(amounts)), key=lambda index: counts[index] - amounts[index])
    for index in by_remainder[: total - sum(counts)]:
        counts[index] += 1
    return counts


def check(split: Split) -> None:
    """Raises LeakError if anything is on two sides."""
    seen: dict[str, str] = {}
    for side in SIDES:
        for member in split.side(side):
            if member in seen:
                raise LeakError(f"{member} is on the {seen[member]} and the {side} side of the split")
            seen[member] = side


def write_split(split: Split, path: Path) -> None:
    """Writes the split as JSON, whole or not at all."""
    write_atomic(path, (json.dumps(asdict(split), indent=1) + "\n").encode())


def read_split(path: Path) -> Split:
    """Reads and checks a split file; SettingsError or LeakError if it is wrong."""
    split = from_mapping(Split, json.loads(path.read_text("utf-8")), str(path))
    check(split)
    return split
