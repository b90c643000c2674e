"""How good a mask can be expected to be, and between which bounds the tumour's size lies. Numbers of the card's block
``trust.quality``, fitted by ``scripts/fit-quality`` on cases that the fitting networks had not seen (docs/trust.md)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from handler.trust.levels import Levels, together
from handler.trust.report import UNKNOWN, Quality, ScanQuality

KIND = "levels-1"
FEW = 10  # a scan of fewer slices errs as a slice does: errors of one head's slices do not cancel out yet
_LOGIT_ENDS = 0.01, 0.996


def _logit(share: float) -> float:
    low, high = _LOGIT_ENDS
    inside = min(max(share, low), high)
    return math.log(inside / (1 - inside))


def facts_found(levels: Levels) -> tuple[float, ...]:
    """What the expected Dice of a mask that is not empty is computed from."""
    return (_logit(levels.expected_overlap),)


def facts_empty(levels: Levels) -> tuple[float, ...]:
    """What the probability that an empty mask is right is computed from: the largest probability, and how much of the
    picture has at least 0.05."""
    return (_logit(levels.largest), math.log(levels.above(0.05) / levels.total + 1e-4))


def tail_bounds(levels: Levels, tail: float) -> tuple[float, float]:
    """Pixels of at least ``1 - tail`` and of at least ``tail``, 0 < tail <= 0.5: bounds of the tumour's size, far apart
    where the network is in doubt. The smaller ``tail``, the wider."""
    return levels.above(1.0 - tail), levels.above(tail)


@dataclass(frozen=True)
class Estimator:
    """``found``, ``empty`` and ``scan``: constant and weights of the facts, for a logit, of a slice's mask with and
    without a pixel, and of a scan's. ``slice_floor``, ``scan_floor``: an expected Dice below is uncertain. ``level`` of
    the intervals: :func:`tail_bounds` with ``scan_tail``, or with ``slice_tail`` for a scan of one or few slices."""

    found: tuple[float, ...]
    empty: tuple[float, ...]
    scan: tuple[float, ...]
    slice_floor: float
    scan_floor: float
    level: float
    slice_tail: float
    scan_tail: float

    def slice_dice(self, levels: Levels) -> float:
        """Of one slice, 0..1, where nothing to be found and nothing found is 1."""
        if levels.area:
            return _share(self.found, facts_found(levels))
        return _share(self.empty, facts_empty(levels))

    def scan_dice(self, slices: Sequence[Levels]) -> float:
        """Of all slices together. Of an empty mask at most that of the most doubtful slice."""
        if len(slices) == 1:
            return self.slice_dice(slices[0])
        whole = together(slices)
        return _share(self.scan, facts_found(whole)) if whole.area else min(map(self.slice_dice, slices))

    def interval(self, slices: Sequence[Levels]) -> tuple[int, int]:
        """Of the tumour's pixels in all slices; the number found is always inside."""
        whole = together(slices)
        tail = self.scan_tail if len(slices) >= FEW else min(self.scan_tail, self.slice_tail)
        if len(slices) == 1:
            tail = self.slice_tail
        low, high = tail_bounds(whole, tail)
        return min(math.floor(low), whole.area), max(math.ceil(high), whole.area)


def _share(weights: Sequence[float], facts: Sequence[float]) -> float:
    value = weights[0] + sum(w * fact for w, fact in zip(weights[1:], facts, strict=True))
    return 1.0 / (1.0 + math.exp(-min(max(value, -30.0), 30.0)))


def estimator_of(trust: Mapping[str, Any]) -> Estimator | None:
    """From the ``trust`` of a card; None where it has no ``quality``. Raises ``ValueError`` for one that this code does
    not know or whose numbers cannot be."""
    block = trust.get("quality")
    if not block:
        return None
    try:
        if block["kind"] != KIND:
            raise ValueError(f"kind {block['kind']!r}, expected {KIND!r}")
        weights = {name: tuple(float(w) for w in block["weights"][name]) for name in ("found", "empty", "scan")}
        floor, interval = block["floor"], block["interval"]
        made = Estimator(
            **weights,
            slice_floor=float(floor["slice"]),
            scan_floor=float(floor["scan"]),
            level=float(interval["level"]),
            slice_tail=float(interval["slice_tail"]),
            scan_tail=float(interval["scan_tail"]),
        )
        lengths = len(made.found), len(made.empty), len(made.scan)
        if lengths != (2, 3, 2) or not all(math.isfinite(w) for name in weights.values() for w in name):
            raise ValueError(f"{lengths} weights, expected (2, 3, 2) finite ones")
        if not (0 < made.slice_tail <= 0.5 and 0 < made.scan_tail <= 0.5 and 0 < made.level < 1):
            raise ValueError("expected tails above 0 and at most 0.5, and 0 < level < 1")
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"the card's trust.quality cannot be used: {error!r}; fit it with scripts/fit-quality"
        ) from error
    return made


def quality_of(
    estimator: Estimator | None, slices: Sequence[Levels | None], voxel_ml: float | None
) -> tuple[ScanQuality, tuple[Quality, ...]]:
    """Of the scan and of each slice. ``slices``: None for one that is not assessed, which is then no part of the scan's
    numbers. ``voxel_ml``: millilitres of a pixel of a scan with geometry."""
    assessed = [levels for levels in slices if levels is not None]
    if estimator is None or not assessed:
        return ScanQuality(), (UNKNOWN,) * len(slices)
    each = tuple(UNKNOWN if s is None else _quality(estimator.slice_dice(s), estimator.slice_floor) for s in slices)
    dice, (low, high) = estimator.scan_dice(assessed), estimator.interval(assessed)
    floor = estimator.slice_floor if len(assessed) == 1 else estimator.scan_floor
    volume = None if voxel_ml is None else (low * voxel_ml, high * voxel_ml)
    return ScanQuality(_quality(dice, floor), (low, high), volume, estimator.level), each


def _quality(dice: float, floor: float) -> Quality:
    return Quality(dice < floor, dice)
