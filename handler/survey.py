"""What the samples of a scan are like, gathered page by page: whether its intensity range can be right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handler.scan import Warn

# A scan with less than this share of samples above this intensity is called nearly black.
DARK_INTENSITY = 0.1
DARK_SHARE = 0.001
OVERSHOOT = 0.01  # resampling leaves the range by so little; what lies further outside was not meant for 0..1
UNIT, EIGHT_BITS = (0.0, 1.0), (0.0, 255.0)


@dataclass(frozen=True)
class Survey:
    """``low`` and ``high``: the smallest and largest sample, of float samples only, which no type bounds; else None.
    ``bright``: how many of the ``samples`` come out above :data:`DARK_INTENSITY`."""

    samples: int = 0
    bright: int = 0
    low: float | None = None
    high: float | None = None

    def and_of(self, other: Survey) -> Survey:
        """Both together."""
        lows = [low for low in (self.low, other.low) if low is not None]
        highs = [high for high in (self.high, other.high) if high is not None]
        return Survey(
            self.samples + other.samples,
            self.bright + other.bright,
            min(lows, default=None),
            max(highs, default=None),
        )

    @property
    def nearly_black(self) -> bool:
        """The sign of a range far too wide, such as 12-bit samples read as 16-bit."""
        return self.bright < DARK_SHARE * self.samples


def survey(pixels: NDArray[np.generic], intensity_range: Sequence[float]) -> Survey:
    """Of ``pixels`` (n, h, w, c), when the samples ``intensity_range`` are mapped to 0..1."""
    low, high = intensity_range
    cut = low + DARK_INTENSITY * (high - low)
    if pixels.dtype.kind != "f":
        cut = math.floor(cut)  # the same pixels, compared as the integers they are, not as float64
    bright = sum(int(np.count_nonzero(image > cut)) for image in pixels)
    if pixels.dtype.kind != "f" or not pixels.size:
        return Survey(pixels.size, bright)
    return Survey(pixels.size, bright, float(pixels.min()), float(pixels.max()))


def _clipped(seen: Survey) -> tuple[Warn, ...]:
    """``out_of_range`` for float samples outside 0..1, with the range to send instead: 0 to 255 for what an 8-bit
    picture becomes as float, else what was seen."""
    if seen.low is None or seen.high is None or (seen.low >= -OVERSHOOT and seen.high <= 1 + OVERSHOOT):
        return ()
    low, high = EIGHT_BITS if seen.low >= 0 and seen.high <= EIGHT_BITS[1] else (seen.low, seen.high)
    detail = (
        f"float samples from {seen.low:g} to {seen.high:g} were clipped to 0..1; send intensity_range={low:g},{high:g}"
    )
    return (Warn("out_of_range", detail),)


def survey_warnings(seen: Survey, intensity_range: Sequence[float], asked: bool) -> tuple[Warn, ...]:
    """What a client should know about ``intensity_range``; ``asked``: the client gave it, and may well want to clip.
    ``out_of_range`` where the rule of float samples clipped some, ``low_dynamic_range`` for a nearly black scan."""
    low, high = intensity_range
    warnings = list(_clipped(seen)) if tuple(intensity_range) == UNIT and not asked else []
    if seen.nearly_black:
        warnings.append(
            Warn(
                "low_dynamic_range",
                f"nearly all samples are close to black when {low:g} to {high:g} is mapped to 0..1; "
                "set intensity_range",
            )
        )
    return tuple(warnings)
