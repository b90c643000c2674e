"""Which slices lie beside which: those of a case, by their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from handler.scan import ArraySource, Scan
from training.data.slices import LabelledSlice


@dataclass(frozen=True)
class Place:
    """Of a slice: the stack that it is in, as indices of slices in the order of their numbers, and its own place
    there."""

    stack: tuple[int, ...]
    at: int

    def around(self, before: int, after: int) -> list[int]:
        """Indices of the slices from ``before`` places ahead of it to ``after`` behind; beyond an end of the stack its
        last slice stands in, as when served."""
        last = len(self.stack) - 1
        return [self.stack[min(max(self.at + step, 0), last)] for step in range(-before, after + 1)]


def places(slices: Sequence[LabelledSlice]) -> list[Place]:
    """Of each of ``slices``. A stack ends where a number is missing: what lies beyond a gap is no neighbour; and where
    size or intensities are others, which no one file could hold."""
    order = sorted(range(len(slices)), key=lambda index: (slices[index].pair.case, slices[index].pair.number))
    stacks: list[list[int]] = []
    for index in order:
        if not stacks or not _follows(slices[stacks[-1][-1]], slices[index]):
            stacks.append([])
        stacks[-1].append(index)
    found: dict[int, Place] = {}
    for stack in map(tuple, stacks):
        found |= {index: Place(stack, at) for at, index in enumerate(stack)}
    return [found[index] for index in range(len(slices))]


def _follows(before: LabelledSlice, after: LabelledSlice) -> bool:
    def kind(item: LabelledSlice) -> tuple[object, ...]:
        return item.scan.source.shape, item.scan.source.dtype, item.scan.intensity_range

    same = before.pair.case == after.pair.case and kind(before) == kind(after)
    return same and after.pair.number == before.pair.number + 1


class Stacks:
    """The stacks that ``slices`` make, as scans of several pages."""

    def __init__(self, slices: Sequence[LabelledSlice] = ()) -> None:
        self._slices = slices
        self._places = dict(zip(map(id, slices), places(slices), strict=True))
        self._last: tuple[tuple[int, ...], Scan] | None = None

    def of(self, item: LabelledSlice) -> tuple[Scan, int]:
        """The scan that ``item`` is in and its page there: itself alone where it is none of the slices. Slices of one
        stack that are asked for one after the other get the same scan."""
        place = self._places.get(id(item))
        if place is None or len(place.stack) == 1:
            return item.scan, 0
        if self._last is None or self._last[0] != place.stack:
            pixels = np.concatenate([self._slices[index].scan.pixels for index in place.stack])
            self._last = place.stack, replace(item.scan, source=ArraySource(pixels))
        return self._last[1], place.at
