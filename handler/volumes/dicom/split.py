"""Frames -> volumes that were taken apart: series, and within them echoes, points in time, magnitude and phase. One
volume is never made of two."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterable, Sequence

import numpy as np

from handler.volumes.dicom.frames import Frame

SAME_PLACE_MM = 0.01


def _grouped(frames: Iterable[Frame], key: Callable[[Frame], Hashable]) -> list[list[Frame]]:
    """In the order in which each group first comes."""
    groups: dict[Hashable, list[Frame]] = {}
    for frame in frames:
        groups.setdefault(key(frame), []).append(frame)
    return list(groups.values())


def _alike(frame: Frame) -> Hashable:
    """What slices of one volume share, besides a series UID, which tools that take names away give each file anew."""
    rounded = tuple(None if v is None else tuple(round(x, 2) for x in v) for v in (frame.orientation, frame.spacing))
    return (frame.rows, frame.columns, rounded, frame.series_number, frame.acquisition.description, frame.apart)


def series_of(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Frames of one series each. Single ones, or those without a series, are put together by what they share."""
    groups = _grouped(frames, lambda frame: frame.series or ("none", frame.instance))
    whole = [group for group in groups if len(group) > 1]
    single = [group[0] for group in groups if len(group) == 1]
    return sorted([*whole, *_grouped(single, _alike)], key=lambda group: (group[0].file, group[0].frame))


def _places(frames: Sequence[Frame]) -> list[tuple[int, ...] | None]:
    return [None if f.position is None else tuple(round(x / SAME_PLACE_MM) for x in f.position) for f in frames]


def _doubled(frames: Sequence[Frame]) -> bool:
    places = _places(frames)
    return len(set(places)) < len(places)


def _separates(groups: Sequence[Sequence[Frame]]) -> bool:
    """Whether each group has every place once, and all have the same ones (to a hundredth of a millimetre or so)."""
    if len(groups) < 2 or any(_doubled(group) for group in groups):
        return False
    if len({len(group) for group in groups}) > 1 or any(f.position is None for group in groups for f in group):
        return False
    sets = [np.array(sorted(f.position for f in group if f.position)) for group in groups]
    return all(np.abs(places - sets[0]).max() <= 2 * SAME_PLACE_MM for places in sets)


def volumes_of(series: Sequence[Frame]) -> list[list[Frame]]:
    """A series taken apart. Where places come twice still, and no tag tells them apart, it is left as it is: the gate
    refuses it."""
    out = []
    for group in _grouped(series, lambda frame: frame.apart):
        out.extend(_by_perhaps(group))
    return out


def _by_perhaps(group: list[Frame]) -> list[list[Frame]]:
    if not _doubled(group):
        return [group]
    names = [name for name, _ in group[0].perhaps]
    vary = [n for n in range(len(names)) if len({frame.perhaps[n][1] for frame in group}) > 1]
    for count in (1, 2):
        for chosen in itertools.combinations(vary, count):
            parts = _grouped(group, lambda frame, chosen=chosen: tuple(frame.perhaps[n][1] for n in chosen))  # type: ignore[misc]
            if _separates(parts):
                return parts
    return [group]
