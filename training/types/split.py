"""Who trains and who judges: folds by patient, or, to show what leaking is worth, by slice."""

from __future__ import annotations

import random
import zlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Literal

import numpy as np

from settings.mapping import SettingsError
from training.types.slices import TypeSlice

By = Literal["patient", "slice"]


def parts_of(slices: Sequence[TypeSlice], parts: int, seed: int, by: By = "patient") -> list[int]:
    """The part (0..parts - 1) that each slice belongs to; the same slices and seed give the same on every machine.

    By patient: class by class, patients in random order of equal sizes, the one with most slices first, each into the
    part that has fewest of its class yet; so a patient is in one part, and each part has its share of every class as
    far as patients allow. A slice without a patient is dealt as one of its own. By slice: all are.
    Raises SettingsError if a class has fewer patients than there are parts."""
    if parts < 2:
        raise SettingsError(f"{parts} parts: expected 2 or more")
    rng = random.Random(seed)  # noqa: S311  # a split needs no secrecy
    groups: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for index, item in enumerate(slices):
        owner = item.patient if by == "patient" and item.patient else item.name
        groups[item.kind][owner].append(index)
    counted = Counter(owner for members in groups.values() for owner in members)
    if twice := sorted(owner for owner, kinds in counted.items() if kinds > 1):
        raise SettingsError(f"patient {twice[0]} has slices of two classes; parts by class would tear them apart")
    dealt = [0] * len(slices)
    for kind, members in groups.items():
        if len(members) < parts:
            raise SettingsError(f"{kind}: {len(members)} patients do not make {parts} parts")
        order = sorted(members)
        rng.shuffle(order)
        order.sort(key=lambda owner: -len(members[owner]))  # stable: equal sizes stay shuffled
        counts = [0] * parts
        for owner in order:
            part = min(range(parts), key=lambda p: counts[p])
            counts[part] += len(members[owner])
            for index in members[owner]:
                dealt[index] = part
    return dealt


def drawn(slices: Sequence[TypeSlice], per_patient: int, seed: tuple[int, ...]) -> list[int]:
    """At most `per_patient` slices of each patient, in order; all of those that have no patient. A patient's do not
    depend on who else is there."""
    owners: dict[str, list[int]] = defaultdict(list)
    for index, item in enumerate(slices):
        owners[item.patient or item.name].append(index)
    chosen: list[int] = []
    for owner, indices in owners.items():
        rng = np.random.default_rng((*seed, zlib.crc32(owner.encode())))
        chosen += rng.permutation(indices)[:per_patient].tolist()
    return sorted(chosen)
