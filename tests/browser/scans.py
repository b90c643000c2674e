"""Scans made to be hard on the page."""

from __future__ import annotations

import io

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage


def png(image: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def speckled(seed: int = 0, height: int = 200, width: int = 150) -> bytes:
    """Smooth noise around the detector's level: hundreds of regions of all sizes, touching by sides and corners; of a
    size that the network's grid does not divide."""
    generator = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(generator.standard_normal((height, width)), 1.5)
    flair = np.clip(153 + 30 * noise / noise.std(), 0, 255).astype(np.uint8)
    return png(np.stack([flair // 2, flair, flair // 3], axis=-1))


def long_stack(slices: int = 34, side: int = 512) -> bytes:
    """More slices than fit into one answer with their pictures; slice i has a bright square of side 8 + 4 i from
    slice 5 on."""
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        for index in range(slices):
            image = np.full((side, side, 3), 60, np.uint8)
            if index >= 5:
                image[100 : 108 + 4 * index, 100 : 108 + 4 * index] = 220
            writer.write(image, photometric="rgb", compression="zlib", metadata=None)
    return buffer.getvalue()
