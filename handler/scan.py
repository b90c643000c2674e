"""What passes between the stages: small frozen dataclasses."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Warn:
    """Something a client should know about an answer that is given all the same."""

    code: str
    detail: str


class PageSource(Protocol):
    """Where a scan's slices come from. What only a header says is known at once; pixels are decoded when they are asked
    for, so that a stack need not be in memory as a whole.

    ``shape``: (slices, height, width, channels), channels 1 (grey) or 3 (RGB). ``dtype``: that of the pixels."""

    @property
    def shape(self) -> tuple[int, int, int, int]: ...

    @property
    def dtype(self) -> np.dtype[np.generic]: ...

    def pages(self, start: int, stop: int) -> NDArray[np.generic]:
        """Slices ``start`` to ``stop`` (exclusive) as an array (n, height, width, channels), not to be written to. May
        raise :class:`handler.errors.RequestError`: a page turns out broken only when it is decoded."""


@dataclass(frozen=True, eq=False)
class ArraySource:
    """Slices that are in memory: ``pixels`` (slices, height, width, channels)."""

    pixels: NDArray[np.generic]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        slices, height, width, channels = self.pixels.shape
        return slices, height, width, channels

    @property
    def dtype(self) -> np.dtype[np.generic]:
        return self.pixels.dtype

    def pages(self, start: int, stop: int) -> NDArray[np.generic]:
        """A view of slices ``start`` to ``stop``."""
        return self.pixels[start:stop]


@dataclass(frozen=True)
class Scan:
    """A scan whose header is understood.

    ``source``: its pixels in the dtype of the file (uint8, uint16, int16, float32, ...), native byte order, EXIF
    orientation applied, alpha dropped.
    ``intensity_range``: the samples that mean 0 and 1, finite, first below second; from the dtype's rule
    (:mod:`handler.intensity`) or the file's own tags, never from the pixels.
    ``sha256``: hex digest of the file as sent.
    """

    source: PageSource
    intensity_range: tuple[float, float]
    format: str
    sha256: str
    warnings: tuple[Warn, ...] = ()

    @property
    def slices(self) -> int:
        return self.source.shape[0]

    @property
    def height(self) -> int:
        return self.source.shape[1]

    @property
    def width(self) -> int:
        return self.source.shape[2]

    @property
    def decoded_bytes(self) -> int:
        """What all slices together take in memory."""
        return math.prod(self.source.shape) * self.source.dtype.itemsize

    @property
    def pixels(self) -> NDArray[np.generic]:
        """All slices at once, (slices, height, width, channels): for files known to be small."""
        return self.source.pages(0, self.slices)

    def held(self) -> Scan:
        """The same scan with all its pixels decoded and kept. Raises what :meth:`PageSource.pages` raises."""
        return dataclasses.replace(self, source=ArraySource(self.pixels))
