"""What a gate looks at: each slice as the network sees it, shrunk to 64 x 64, and whether it shows anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handler.preprocess import resize

SIDE = 64
BLANK = 0.1  # a slice whose brightest hundredth, shrunk, is darker than this shows nothing
Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Thumbs:
    """``pictures``: uint8 (slices, 64, 64, 3). ``blank``: bool (slices,), hardly anything to be seen: the ends of a
    volume, or samples that stay near black."""

    pictures: NDArray[np.uint8]
    blank: NDArray[np.bool_]

    @classmethod
    def none(cls) -> Thumbs:
        return cls(np.empty((0, SIDE, SIDE, 3), np.uint8), np.empty(0, np.bool_))

    def __len__(self) -> int:
        return len(self.pictures)

    @classmethod
    def joined(cls, several: Sequence[Thumbs]) -> Thumbs:
        """Those of ``several``, one after the other; none of none."""
        parts = (cls.none(), *several)
        return cls(np.concatenate([one.pictures for one in parts]), np.concatenate([one.blank for one in parts]))

    def only(self, indices: NDArray[np.integer] | list[int]) -> Thumbs:
        """Those of some of the slices."""
        return Thumbs(self.pictures[indices], self.blank[indices])


def shrunk(images: Array, side: int) -> Array:
    """(n, h, w, 3) -> (n, side, side, 3), means over blocks where the sides divide."""
    # Sums of strided views: numpy's own mean over two short axes takes three times as long.
    count, height, width, channels = images.shape
    if height % side or width % side:
        return np.ascontiguousarray(resize(images, side, side))
    down, across = height // side, width // side
    rows = images.reshape(count, side, down, width * channels)
    summed = sum((rows[:, :, i] for i in range(1, down)), start=rows[:, :, 0])
    columns = summed.reshape(count, side, side, across, channels)
    small = sum((columns[:, :, :, i] for i in range(1, across)), start=columns[:, :, :, 0])
    return np.asarray(small * np.float32(1 / (down * across)))


def to_bytes(images: Array) -> NDArray[np.uint8]:
    """0..1 -> 0..255, rounded."""
    return (np.clip(images, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)


def thumbs(images: Array) -> Thumbs:
    """``images``: float32 (n, h, w, 3), 0..1, on the network's grid, as :func:`handler.preprocess.to_grid` has them."""
    if not len(images):
        return Thumbs.none()
    small = shrunk(images, SIDE)
    brightest = np.maximum(np.maximum(small[..., 0], small[..., 1]), small[..., 2])
    bright = (brightest >= BLANK).sum(axis=(1, 2))
    return Thumbs(to_bytes(small), bright <= SIDE * SIDE // 100)
