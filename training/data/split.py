"""Who is trained on, who chooses, who judges: a seeded split by case, stratified by institution."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from handler.files import write_atomic
from settings.mapping import SettingsError, from_mapping
from training.data.cases import DataError, Pair, institution_of
from training.fit.recipe import SplitRecipe

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

    def present(self, pairs: Sequence[Pair], name: str) -> tuple[Pair, ...]:
        """As `select`. Raises DataError where the side has members and none of them is among `pairs`."""
        chosen = self.select(pairs, name)
        if self.side(name) and not chosen:
            raise DataError(f"no slice of the {name} side is in the data folder; is it the data of that split?")
        return chosen


Patients = Sequence[Sequence[str]]


def make_split(pairs: Sequence[Pair], recipe: SplitRecipe, seed: int, patients: Patients = ()) -> Split:
    """Draws a split; the same pairs, recipe and seed give the same split on every machine. `patients`: cases that are
    one patient, so that all of them are dealt together, as the first of them would be.

    By case: within each institution cases are shuffled, then dealt by largest remainder, so that every side has its
    share of every institution as far as counts allow, and the sides' totals match the shares of all cases.
    """
    if recipe.by == "slice":
        groups = {"all": sorted(pair.name for pair in pairs)}
    else:
        cases = {pair.case for pair in pairs}
        groups = _by_institution(_first_of(cases, patients))
    rng = random.Random(seed)  # noqa: S311  # a split needs no secrecy
    shares = (recipe.train, recipe.validation, recipe.test)
    sides = _deal(groups, shares, rng)
    if recipe.by == "case":
        sides = [_all_of(side, cases, patients) for side in sides]
    split = Split(recipe.by, seed, *(tuple(sorted(side)) for side in sides))
    check(split)
    return split


@dataclass(frozen=True)
class Fold:
    """Part `which` (from 1) of `parts` for cross-validation. Raises SettingsError where there is no such part."""

    which: int
    parts: int

    def __post_init__(self) -> None:
        if self.parts < 2 or not 1 <= self.which <= self.parts:
            raise SettingsError(f"fold {self.which}/{self.parts}: expected K/N, N at least 2 and K from 1 to N")

    @classmethod
    def parse(cls, text: str) -> Fold:
        """Part 2 of 4 from "2/4". Raises SettingsError for anything else."""
        which, slash, parts = text.partition("/")
        if not (slash and which.isdecimal() and parts.isdecimal()):
            raise SettingsError(f"fold {text!r}: expected K/N, as in 2/4 for the second of four parts")
        return cls(int(which), int(parts))


def fold_of(split: Split, fold: Fold, patients: Patients = ()) -> Split:
    """Cross-validation within the training side: one part of it validates, the other parts are trained on, and the
    cases that `split` validates on are left out, so that they can still choose. The test side stays.

    Parts are dealt as sides are, from the split's own seed, `patients` kept together as there. Raises SettingsError if
    a part would be empty.
    """
    members = set(split.train) if split.leaks else _first_of(set(split.train), patients)
    if fold.parts > len(members):
        raise SettingsError(f"fold {fold.which}/{fold.parts}: only {len(members)} members are trained on")
    groups = {"all": sorted(members)} if split.leaks else _by_institution(members)
    parts = _deal(groups, (1 / fold.parts,) * fold.parts, random.Random(split.seed))  # noqa: S311  # as above
    held = set(_all_of(parts[fold.which - 1], set(split.train), () if split.leaks else patients))
    kept = tuple(name for name in split.train if name not in held)
    return Split(split.by, split.seed, kept, tuple(sorted(held)), split.test)


def fold_of_every_case(pairs: Sequence[Pair], by: str, seed: int, fold: Fold, patients: Patients = ()) -> Split:
    """Cross-validation over all there is: one part tests, all others are trained on, nobody validates, so that nothing
    can be chosen. Parts are dealt as sides are, `patients` kept together. Raises SettingsError if a part would be
    empty.
    """
    names = sorted({pair.name if by == "slice" else pair.case for pair in pairs})
    members = set(names) if by == "slice" else _first_of(set(names), patients)
    if fold.parts > len(members):
        raise SettingsError(f"fold {fold.which}/{fold.parts}: only {len(members)} members are there")
    groups = {"all": sorted(members)} if by == "slice" else _by_institution(members)
    parts = _deal(groups, (1 / fold.parts,) * fold.parts, random.Random(seed))  # noqa: S311  # as above
    held = set(_all_of(parts[fold.which - 1], set(names), () if by == "slice" else patients))
    return Split(by, seed, tuple(name for name in names if name not in held), (), tuple(sorted(held)))


def refit_of(split: Split) -> Split:
    """All but the test side to train on and nothing to validate: for a recipe that validation has already judged."""
    return Split(split.by, split.seed, tuple(sorted(split.train + split.validation)), (), split.test)


def case_of(member: str) -> str:
    """The case that a member of a side belongs to: itself, or for a slice ("case/number") what it is a slice of."""
    return member.split("/")[0]


def _first_of(cases: set[str], patients: Patients) -> set[str]:
    """One case of each patient: of those named, the first that is there."""
    there = [[case for case in named if case in cases] for named in patients]
    return cases - {case for named in there for case in named[1:]}


def _all_of(chosen: Sequence[str], cases: set[str], patients: Patients) -> list[str]:
    """`chosen`, one case a patient, and of each of them the patient's other `cases`."""
    others = {case for named in patients if set(named) & set(chosen) for case in named if case in cases}
    return sorted({*chosen, *others})


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
    """Reads and checks a split file; SettingsError or LeakError if it is wrong or not there."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{path}: no split file ({error}); expected the {path.name} of a run of scripts/train"
        ) from error
    split = from_mapping(Split, content, str(path))
    check(split)
    return split
