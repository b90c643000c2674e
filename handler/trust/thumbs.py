"""What a gate looks at: each slice as the network sees it, shrunk to 64 x 64, and whether it shows anything at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handler.preprocess import resize

SIDE = 64
BLANK = 0.1  # a slice whose brightest pixels, shrunk, are darker than this shows nothing
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

    def and_of(self, other: Thumbs) -> Thumbs:
        """Those of further slices behind these."""
        return Thumbs(
            np.concatenate([self.pictures, other.pictures]),
            np.concatenate([self.blank, other.blank]),
        )

    def only(self, indices: NDArray[np.integer] | list[int]) -> Thumbs:
        """Those of some of the slices."""
        return Thumbs(self.pictures[indices], self.blank[indices])


def shrunk(images: Array, side: int) -> Array:
    """(n, h, w, 3) -> (n, side, side, 3), means over blocks where the sides divide."""
    count, height, width, channels = images.shape
    if height % side or width % side:
        return np.ascontiguousarray(resize(images, side, side))
    rows = images.reshape(count, side, height // side, width * channels).mean(axis=2)
    return rows.reshape(count, side, side, width // side, channels).mean(axis=3)


def to_bytes(images: Array) -> NDArray[np.uint8]:
    """0..1 -> 0..255, rounded."""
    return (np.clip(images, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)


def thumbs(images: Array) -> Thumbs:
    """``images``: float32 (n, h, w, 3), 0..1, on the network's grid, as :func:`handler.preprocess.to_grid` has them."""
    if not len(images):
        return Thumbs.none()
    small = shrunk(images, SIDE)
    brightest = small.max(axis=3).reshape(len(images), -1)
    high = np.partition(brightest, -41, axis=1)[:, -41]  # all but a hundredth lies below
    return Thumbs(to_bytes(small), high < BLANK)
