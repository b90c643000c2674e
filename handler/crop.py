"""Less work for the same answer: the network sees the head, not the air around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handler.card import HeadCrop

STEP = 32  # the network halves its input five times


@dataclass(frozen=True)
class Box:
    """Rows ``top`` to ``bottom`` and columns ``left`` to ``right``, ends excluded; sides divisible by 32."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.bottom - self.top, self.right - self.left

    @property
    def slices(self) -> tuple[slice, slice]:
        """To index an array (h, w, ...)."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


def _span(present: NDArray[np.bool_], margin: int) -> tuple[int, int]:
    """First and last of ``present`` with ``margin`` on both sides, widened to a multiple of 32 around the middle and
    moved inside. ``present`` has a length divisible by 32 and at least one True."""
    where = np.flatnonzero(present)
    first, last = int(where[0]) - margin, int(where[-1]) + 1 + margin
    length = min(-(-(last - first) // STEP) * STEP, len(present))
    start = (first + last - length) // 2
    start = min(max(start, 0), len(present) - length)
    return start, start + length


def head_box(image: NDArray[np.float32], crop: HeadCrop | None) -> Box | None:
    """Where the head is in ``image`` (h, w, 3), 0..1, sides divisible by 32: everything brighter than
    ``crop.threshold`` in any channel, and a margin. None for a slice without such a pixel: nothing but air. Without
    ``crop`` the whole image."""
    height, width = image.shape[:2]
    if crop is None:
        return Box(0, height, 0, width)
    # Channel by channel: a maximum over the last axis, three values long, takes twenty times as long.
    bright = (image[..., 0] > crop.threshold) | (image[..., 1] > crop.threshold) | (image[..., 2] > crop.threshold)
    rows, columns = np.asarray(bright.any(axis=1)), np.asarray(bright.any(axis=0))
    if not rows.any():
        return None
    top, bottom = _span(rows, crop.margin)
    left, right = _span(columns, crop.margin)
    return Box(top, bottom, left, right)
