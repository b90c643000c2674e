"""Cheap facts about what the network sees: where the head lies, what the channels have to do with each other, which way
is up, how sharp it is. A gate knows a slice by them; plain numpy, on a picture shrunk to 64 x 64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handler.preprocess import resize

SIDE = 64  # pixels of the shrunk picture
INSIDE = 16  # points a side at which the head's box is looked at
CELLS = 16  # the box in so many cells a side
BACKGROUND = 0.25  # of the brightest: what is darker is air
BLACK = 0.01
BLANK = 0.1  # a slice whose brightest pixels, shrunk, are darker than this shows nothing
EDGES = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.95)  # of histograms of the intensity, 0..1
SHARES = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)  # the same, in units of the head's mean
PAIRS = ((0, 1), (1, 2), (0, 2))
TINY = np.float32(1e-4)
Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Facts:
    """``values``: float32 (slices, facts). ``blank``: bool (slices,), hardly anything to be seen: the ends of a volume,
    or samples that stay near black; ``black``: nothing at all."""

    values: Array
    blank: NDArray[np.bool_]
    black: NDArray[np.bool_]

    @classmethod
    def none(cls) -> Facts:
        return cls(np.empty((0, COUNT), np.float32), np.empty(0, np.bool_), np.empty(0, np.bool_))

    def and_of(self, other: Facts) -> Facts:
        """Those of further slices behind these."""
        return Facts(
            np.concatenate([self.values, other.values]),
            np.concatenate([self.blank, other.blank]),
            np.concatenate([self.black, other.black]),
        )


def _shrunk(images: Array) -> Array:
    """(n, h, w, 3) -> (n, 64, 64, 3), means over blocks."""
    count, height, width, channels = images.shape
    if height % SIDE or width % SIDE:
        return np.ascontiguousarray(resize(images, SIDE, SIDE))
    rows = images.reshape(count, SIDE, height // SIDE, width * channels).mean(axis=2)
    return rows.reshape(count, SIDE, SIDE, width // SIDE, channels).mean(axis=3)


def _extents(present: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and behind last True of each row of ``present`` (n, length); all of it where there is none."""
    some = present.any(axis=1)
    first = np.where(some, present.argmax(axis=1), 0)
    last = np.where(some, present.shape[1] - present[:, ::-1].argmax(axis=1), present.shape[1])
    return first, last


def _boxed(planes: Array, box: tuple[NDArray[np.int64], ...]) -> Array:
    """(n, 64, 64, c) -> (n, 16, 16, c): points evenly over each slice's box."""
    steps = (np.arange(INSIDE) + 0.5) / INSIDE
    top, bottom, left, right = box
    rows = (top[:, None] + steps * (bottom - top)[:, None]).astype(np.int64)
    columns = (left[:, None] + steps * (right - left)[:, None]).astype(np.int64)
    return planes[np.arange(len(planes))[:, None, None], rows[:, :, None], columns[:, None, :]]


def _alike(one: Array, other: Array) -> Array:
    """Correlation over the axes between the first and the last: (n, a, b, c) twice -> (n, c)."""
    one = one - one.mean(axis=(1, 2), keepdims=True)
    other = other - other.mean(axis=(1, 2), keepdims=True)
    norm = np.sqrt((one**2).sum(axis=(1, 2)) * (other**2).sum(axis=(1, 2)))
    return (one * other).sum(axis=(1, 2)) / (norm + TINY)


def _weighted(first: Array, second: Array, head: Array) -> Array:
    """Correlation of two channels (n, 64, 64) inside ``head``, 0 or 1: (n,)."""
    count = head.sum(axis=(1, 2)) + TINY

    def mean(values: Array) -> Array:
        return (values * head).sum(axis=(1, 2)) / count

    a, b = mean(first), mean(second)
    spread = np.sqrt(np.maximum((mean(first**2) - a**2) * (mean(second**2) - b**2), 0))
    return np.asarray((mean(first * second) - a * b) / (spread + TINY), np.float32)


def _steepness(images: Array, step: int) -> Array:
    """Mean difference of neighbours along both sides, by channel: (n, h, w, 3) -> (n, 3). Of every ``step``-th row and
    column: enough for a mean."""
    some = images[:, ::step]
    across = np.abs(some[:, :, 1::step] - some[:, :, :-1:step]).mean(axis=(1, 2))
    down = np.abs(images[:, 1::step, ::step] - images[:, :-1:step, ::step]).mean(axis=(1, 2))
    return across + down


def _below(values: Array, edges: tuple[float, ...], inside: Array | None = None) -> Array:
    """Share of ``values`` (n, 3, p) below each of ``edges``, of those that are ``inside``: (n, edges * 3)."""
    if inside is None:
        return (
            np.concatenate([np.count_nonzero(values < edge, axis=2) for edge in edges], axis=1, dtype=np.float32)
            / values.shape[2]
        )
    total = np.count_nonzero(inside, axis=1)[:, None] + TINY
    values = np.where(inside[:, None], values, np.float32(np.inf))
    return np.concatenate([np.count_nonzero(values < edge, axis=2) for edge in edges], axis=1, dtype=np.float32) / total


def facts(images: Array) -> Facts:
    """``images``: float32 (n, h, w, 3), 0..1, on the network's grid, as :func:`handler.preprocess.to_grid` has them."""
    count = len(images)
    if not count:
        return Facts.none()
    small = _shrunk(images)
    planes = np.ascontiguousarray(small.transpose(0, 3, 1, 2))  # (n, 3, 64, 64)
    brightest = planes.max(axis=1)
    flat = brightest.reshape(count, -1)
    high = np.partition(flat, -41, axis=1)[:, -41]  # all but a hundredth lies below
    head = brightest > BACKGROUND * high[:, None, None]
    top, bottom = _extents(head.any(axis=2))
    left, right = _extents(head.any(axis=1))
    inside = head.astype(np.float32)
    mask = head.reshape(count, -1)
    area = inside.mean(axis=(1, 2)) + TINY
    everything = planes.mean(axis=(2, 3))
    within = (planes * inside[:, None]).mean(axis=(2, 3))
    means = within / area[:, None]
    beyond = (everything - within) / (1 - area + TINY)[:, None]
    boxed = _boxed(small, (top, bottom, left, right))
    shape = _boxed(inside[..., None], (top, bottom, left, right))
    relative = boxed / (means[:, None, None] + TINY)
    half = INSIDE // CELLS
    cells = relative.reshape(count, CELLS, half, CELLS, half, 3).mean(axis=(2, 4))
    wide, tall = shape[..., 0].mean(axis=2), shape[..., 0].mean(axis=1)
    border = [
        head[:, 0].mean(axis=1),
        head[:, -1].mean(axis=1),
        head[:, :, 0].mean(axis=1),
        head[:, :, -1].mean(axis=1),
    ]
    box = [top / SIDE, bottom / SIDE, left / SIDE, right / SIDE]
    box += [(bottom - top) / (right - left), area * SIDE**2 / ((bottom - top) * (right - left)), area, high]
    pixels = planes.reshape(count, 3, -1)[:, :, ::2]
    steep, coarse = _steepness(images, 4), _steepness(small, 2)
    differences = [np.abs(planes[:, a] - planes[:, b]).mean(axis=(1, 2)) / area for a, b in PAIRS]
    columns = [
        np.clip(cells, 0, 4).reshape(count, -1),
        wide, tall,
        _alike(relative, relative[:, :, ::-1]), _alike(relative, relative[:, ::-1]),
        _alike(shape, shape[:, :, ::-1]), _alike(shape, shape[:, ::-1]),
        np.stack(border + box + differences, axis=1),
        np.stack([_weighted(planes[:, a], planes[:, b], inside) for a, b in PAIRS], axis=1),
        means, np.log(means + 0.01), beyond, np.log(np.maximum(beyond, 0) + 0.001), steep, coarse,
        np.log((steep + TINY) / (coarse + TINY)), coarse / (means + 0.01),
        _below(pixels, EDGES), _below(pixels / (means[:, :, None] + TINY), SHARES, mask[:, ::2]),
    ]  # fmt: skip
    return Facts(np.concatenate(columns, axis=1, dtype=np.float32), high < BLANK, high < BLACK)


COUNT = CELLS * CELLS * 3 + 2 * INSIDE + 8 + 4 + 8 + 3 + 3 + 8 * 3 + 3 * (len(EDGES) + len(SHARES))
