"""Slices with those around them, as a network over a stack sees them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from handler.card import InputSpec
from handler.preprocess import tensor_of
from handler.scan import Warn

Array = NDArray[np.float32]


class Rolling:
    """The slices of a stack on the network's grid, from the first to the last, each brought there once; those that are
    behind are dropped. ``bring``: from ``start`` and ``stop`` (exclusive) to float32 (n, h, w, 3), 0..1. ``around``:
    slices needed on either side. ``whole``: all are brought when the first is asked for, and kept."""

    def __init__(self, bring: Callable[[int, int], Array], count: int, around: int, whole: bool = False) -> None:
        self._bring, self._count, self._around, self._whole = bring, count, around, whole
        self._first, self._held = 0, np.empty((0, 0, 0, 3), np.float32)

    def of(self, start: int, stop: int) -> Array:
        """Slices ``start - around`` to ``stop + around`` (exclusive). Beyond the ends of the stack its first or last
        slice stands in for those that are not there. ``start`` never goes back."""
        wanted = np.clip(np.arange(start - self._around, stop + self._around), 0, self._count - 1)
        self._hold(int(wanted[0]), int(wanted[-1]) + 1)
        at = wanted - self._first
        if at[-1] - at[0] + 1 == len(at):
            return self._held[at[0] : at[-1] + 1]
        return self._held[at]

    def _hold(self, low: int, high: int) -> None:
        if self._whole:
            if not len(self._held):
                self._held = self._bring(0, self._count)
            return
        kept = self._held[max(low - self._first, 0) :]
        begin = max(low, self._first + len(self._held))
        if begin < high:
            brought = self._bring(begin, high)
            kept = np.concatenate([kept, brought]) if len(kept) else brought
        self._first, self._held = low, kept


def inputs_of(windows: Array, spec: InputSpec) -> Array:
    """``windows`` (n, slices, h, w, 3), 0..1, ``slices`` those of one input in their order -> what the network takes,
    normalised: float32 (n, slices * c, h, w), slice by slice, or of a network over a volume (n, c, slices, h, w)."""
    count, slices, *grid = windows.shape
    planes = tensor_of(windows.reshape(count * slices, *grid), spec).reshape(count, slices, -1, *grid[:2])
    if spec.view.slab:
        return np.ascontiguousarray(planes.swapaxes(1, 2))
    return planes.reshape(count, -1, *grid[:2])


def lone_warnings(slices: int, spec: InputSpec) -> tuple[Warn, ...]:
    """``no_neighbours`` for a scan of one slice before a network that looks at several."""
    if slices > 1 or spec.view.seen == 1:
        return ()
    detail = (
        "the model looks at slices together with those beside them, and there is one alone: it stood in for its "
        "neighbours; send the whole stack (pages of a TIFF, a NIfTI, a DICOM series)"
    )
    return (Warn("no_neighbours", detail),)
