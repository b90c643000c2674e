"""Random changes to a training slice, image and mask together, and the window cut from it."""

from __future__ import annotations

import os
import warnings

import numpy as np
from numpy.typing import NDArray

from training.fit.recipe import AugmentRecipe

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else importing it asks PyPI for its latest version
import albumentations as alb
import cv2  # comes with albumentations

# Pixels brighter than this (of 0..1) count as head; air in the TCGA slices stays below 0.05.
HEAD = 0.1
# A row or column belongs to the head when this share of its pixels does; lone bright specks do not.
_LINE_SHARE = 0.02
_FLAIR, _SEQUENCES = 1, 3

# Of a slice: bool (h, w), tumour or not; or uint8 (h, w), none and the labels of several classes.
Mask = NDArray[np.bool_] | NDArray[np.uint8]


class Augment:
    """Flips, affine and elastic changes by albumentations; intensities per sequence by a few lines of numpy.

    Called with an image, float32 (h, w, 3) in 0..1, a mask, bool or uint8 (h, w), and a seed; the same seed, the
    same result. A mask's values are kept: what lies between two pixels is the nearer one. Of several slices,
    (h, w, 3 each), all are changed alike, and so are their masks, (h, w, slices), where there are several.
    """

    def __init__(self, recipe: AugmentRecipe) -> None:
        self._recipe = recipe
        self._shapes = build_shapes(recipe)

    def __call__(self, image: NDArray[np.float32], mask: Mask, seed: int) -> tuple[NDArray[np.float32], Mask]:
        rng = np.random.default_rng(seed)
        image = self._intensities(image, rng)
        if self._shapes is None:
            return image, mask
        self._shapes.set_random_seed(seed)
        changed = self._shapes(image=image, mask=mask.astype(np.uint8))
        return np.clip(changed["image"], 0, 1), changed["mask"].astype(mask.dtype)

    def _intensities(self, image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        """Missing sequences, then gain, offset and gamma drawn for each sequence by itself: scanners differ in each."""
        image = image.copy()
        for channel in range(_SEQUENCES):
            # The published set fills a missing pre- or post-contrast sequence with FLAIR; so do we, more often.
            if channel != _FLAIR and rng.random() < self._recipe.missing_sequence:
                image[..., channel::_SEQUENCES] = image[..., _FLAIR::_SEQUENCES]
        if rng.random() < self._recipe.intensity:
            slices = image.shape[2] // _SEQUENCES
            gain = np.tile(rng.uniform(0.8, 1.25, _SEQUENCES).astype(np.float32), slices)
            gamma = np.tile(rng.uniform(0.75, 1.33, _SEQUENCES).astype(np.float32), slices)
            image = np.clip(image * gain, 0, 1) ** gamma
        return self._degrade(image, rng) if self._recipe.degrade else image

    def _degrade(self, image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        """What other scanners do to a slice: uneven brightness, fewer pixels blown up, noise; each drawn by itself."""
        if rng.random() < self._recipe.degrade:
            image = np.clip(image * uneven(image.shape[:2], rng)[..., None], 0, 1)
        if rng.random() < self._recipe.degrade:
            height, width = image.shape[:2]
            share = rng.uniform(0.4, 0.9)
            small = (max(1, round(width * share)), max(1, round(height * share)))
            coarse = _resized(image, small, cv2.INTER_AREA)
            image = _resized(coarse, (width, height), cv2.INTER_LINEAR).astype(np.float32, copy=False)
        if rng.random() < self._recipe.degrade:
            strength = rng.uniform(0.005, 0.03)
            image = np.clip(image + strength * rng.standard_normal(image.shape, dtype=np.float32), 0, 1)
        return image


def _resized(image: NDArray[np.float32], size: tuple[int, int], how: int) -> NDArray[np.float32]:
    """`image` (h, w, channels) in `size` (width, height). OpenCV 5.0.0 takes at most four channels by area, and slices
    with their neighbours have more."""
    parts = [image[..., first : first + 3] for first in range(0, image.shape[2], 3)]
    smaller = [cv2.resize(np.ascontiguousarray(part), size, interpolation=how) for part in parts]
    return np.concatenate([part.reshape(*part.shape[:2], -1) for part in smaller], axis=2)


def uneven(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """A smooth factor of 0.67 to 1.5 over an image of `shape`, as a coil's uneven reach leaves it: float32 (h, w)."""
    corners = rng.uniform(-0.4, 0.4, (4, 4)).astype(np.float32)
    field = cv2.resize(corners, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.exp(field).astype(np.float32, copy=False)


def build_shapes(recipe: AugmentRecipe) -> alb.Compose | None:
    """The geometric part; None when all its probabilities are 0. A misspelt argument is an error, not a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        changes: list[alb.BasicTransform] = []
        if recipe.flip:
            changes.append(alb.HorizontalFlip(p=recipe.flip))
        if recipe.affine:
            scale, shift = recipe.scale_percent / 100, recipe.shift_percent / 100
            changes.append(
                alb.Affine(
                    scale=(1 - scale, 1 + scale),
                    translate_percent=(-shift, shift),
                    rotate=(-recipe.rotate_degrees, recipe.rotate_degrees),
                    shear=(-5, 5),
                    p=recipe.affine,
                )
            )
        if recipe.elastic:
            changes.append(alb.ElasticTransform(alpha=60, sigma=8, p=recipe.elastic))
        return alb.Compose(changes) if changes else None


def brightest(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """The largest value of each pixel's three channels: (h, w, 3) -> (h, w). NumPy's own max over so short an axis
    takes twenty times as long, a third of all augmentation."""
    return np.maximum(np.maximum(image[..., 0], image[..., 1]), image[..., 2])


def head_span(image: NDArray[np.float32]) -> tuple[tuple[int, int], tuple[int, int]]:
    """First and last row, first and last column of the head in `image`, float32 (h, w, 3) in 0..1; of all if none."""
    bright = brightest(image) > HEAD
    spans = []
    for axis in (1, 0):
        lines = np.flatnonzero(bright.mean(axis=axis) > _LINE_SHARE)
        spans.append((int(lines[0]), int(lines[-1])) if len(lines) else (0, bright.shape[1 - axis] - 1))
    return spans[0], spans[1]


def cut_window(
    image: NDArray[np.float32],
    mask: Mask,
    window: tuple[int, int] | None,
    seed: int,
    head: slice = slice(0, 3),
) -> tuple[NDArray[np.float32], Mask]:
    """A window (height, width) at native resolution, over the head as far as it reaches; None: the whole slice.

    Where the head is larger than the window, its place along that axis is drawn from `seed`; where it is smaller, the
    head lies anywhere inside. A window never leaves the slice, so nothing is padded and no border is made up.
    `head`: the channels of the slice whose head it is, where there are several.
    """
    if window is None:
        return image, mask
    rng = np.random.default_rng((seed, 1))
    where = []
    for (first, last), size, full in zip(head_span(image[..., head]), window, image.shape[:2], strict=True):
        size = min(size, full)
        ends = sorted((first, last + 1 - size))
        start = int(rng.integers(ends[0], ends[1] + 1))
        where.append(slice(min(max(start, 0), full - size), min(max(start, 0), full - size) + size))
    return image[where[0], where[1]], mask[where[0], where[1]]
