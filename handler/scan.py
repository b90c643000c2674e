"""What passes between the stages: small frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Warn:
    """Something a client should know about an answer that is given all the same."""

    code: str
    detail: str


@dataclass(frozen=True)
class Scan:
    """A decoded scan.

    ``pixels``: shape (slices, height, width, channels), channels 1 (grey) or 3 (RGB), in the dtype of the file
    (uint8, uint16, int16, float32, ...), native byte order, EXIF orientation applied, alpha dropped.
    ``intensity_range``: the values of ``pixels`` that mean 0 and 1, finite, first below second; from the dtype's rule
    (:mod:`handler.intensity`) or the file's own tags, never from the pixels.
    ``sha256``: hex digest of the file as sent.
    """

    pixels: NDArray[np.generic]
    intensity_range: tuple[float, float]
    format: str
    sha256: str
    warnings: tuple[Warn, ...] = ()

    @property
    def slices(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[2])
