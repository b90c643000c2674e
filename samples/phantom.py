"""Phantoms: drawn heads, with and without a lesion, that look enough like MR slices to run everything on.

Made by formula from a seed, so no picture of a person is needed in samples, tests and known answers. They say
nothing about quality on real scans."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


@dataclass(frozen=True)
class Phantom:
    """``image``: uint8 (h, w, 3), channels pre-contrast, FLAIR, post-contrast; ``mask``: bool (h, w), the lesion."""

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]


def _ellipse(
    size: int, centre: tuple[float, float], radii: tuple[float, float], turn: float = 0.0
) -> NDArray[np.float64]:
    """Distance (h, w) in units of the radius: below 1 is inside. Centre and radii as shares of ``size``."""
    y, x = np.mgrid[:size, :size] / size
    dy, dx = y - centre[0], x - centre[1]
    along, across = dy * np.cos(turn) + dx * np.sin(turn), dx * np.cos(turn) - dy * np.sin(turn)
    return np.hypot(along / radii[0], across / radii[1])


def _texture(generator: np.random.Generator, size: int, grain: float) -> NDArray[np.float64]:
    """Smooth noise of unit deviation; ``grain`` in pixels."""
    noise = ndimage.gaussian_filter(generator.standard_normal((size, size)), grain)
    return noise / noise.std()


def draw(seed: int, lesion_radius: float = 0.0, size: int = 256) -> Phantom:
    """A slice of ``size`` x ``size`` pixels; ``lesion_radius`` as a share of the size (0: none; 0.08: typical)."""
    generator = np.random.default_rng(seed)
    head = _ellipse(size, (0.5, 0.5), (0.42, 0.34))
    brain = head < 0.86
    ventricles = (_ellipse(size, (0.47, 0.46), (0.11, 0.025), 0.25) < 1) | (
        _ellipse(size, (0.47, 0.54), (0.11, 0.025), -0.25) < 1
    )
    cortex = brain & (head > 0.72)
    side = generator.choice((-1, 1))
    centre = (0.5 + generator.uniform(-0.12, 0.12), 0.5 + side * generator.uniform(0.12, 0.17))
    edge = 0.12 * _texture(generator, size, size / 32)
    lesion = np.zeros((size, size), bool)
    if lesion_radius > 0:
        lesion = (
            _ellipse(size, centre, (lesion_radius, 0.8 * lesion_radius), generator.uniform(0, 3)) + edge < 1
        ) & brain
    grey = _texture(generator, size, 2.0)
    planes = []
    # Skull, white matter, cortex, ventricles, lesion: intensities (0..255) typical of each sequence.
    for skull, white, grey_matter, fluid, tumour in (
        (90, 95, 75, 30, 70),
        (80, 75, 95, 20, 185),
        (95, 105, 85, 30, 85),
    ):
        plane = np.where(head < 1, float(skull), 0.0)
        plane[brain] = white
        plane[cortex] = grey_matter
        plane[ventricles] = fluid
        plane[lesion] = tumour
        plane = ndimage.gaussian_filter(plane, size / 256) + (head < 1) * (
            4 * grey + generator.normal(0, 3, (size, size))
        )
        planes.append(np.clip(plane, 0, 255))
    return Phantom(np.rint(np.stack(planes, axis=-1)).astype(np.uint8), lesion)


def draw_stack(seed: int, slices: int = 8, size: int = 256) -> tuple[Phantom, ...]:
    """A stack whose lesion grows from nothing to the middle and shrinks again."""
    shares = np.sin(np.linspace(0, np.pi, slices)) * 0.09
    return tuple(draw(seed, float(share) if share > 0.02 else 0.0, size) for share in shares)
