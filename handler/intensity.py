"""One stated rule per sample type for bringing intensities to 0..1. It never looks at the pixels, so the same tissue
in the same file format always becomes the same number, in training as in serving."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from handler.errors import RequestError

# Sample type -> the values that mean 0 and 1. Signed integers: negative values (air, in most exports) clip to 0.
RANGES: dict[str, tuple[float, float]] = {
    "uint8": (0.0, 255.0),
    "uint16": (0.0, 65535.0),
    "uint32": (0.0, 4294967295.0),
    "int8": (0.0, 127.0),
    "int16": (0.0, 32767.0),
    "int32": (0.0, 2147483647.0),
    "float16": (0.0, 1.0),
    "float32": (0.0, 1.0),
    "float64": (0.0, 1.0),
}


def default_range(dtype: np.dtype[np.generic], bits: int | None = None) -> tuple[float, float]:
    """The range for ``dtype``; ``bits`` (1..16) where the file says that fewer bits are used, as in 12-bit TIFF.

    Raises ``unsupported_format`` for a sample type without a rule (complex, 64-bit integers).
    """
    if bits is not None and dtype.kind == "u" and bits < dtype.itemsize * 8:
        return 0.0, float(2**bits - 1)
    if dtype.name not in RANGES:
        raise RequestError(
            "unsupported_format",
            f"Samples of type {dtype.name}; expected one of {', '.join(RANGES)}. Convert the scan.",
        )
    return RANGES[dtype.name]


def usable(low: float, high: float) -> bool:
    """Whether the samples between ``low`` and ``high`` can be brought to 0..1 in float32: both smaller than 1e30, and
    a span above 1e-30. Beyond, :func:`to_unit_rgb` would make NaN of ordinary samples."""
    return abs(low) < 1e30 and abs(high) < 1e30 and high - low > 1e-30


def to_unit(pixels: NDArray[np.generic], intensity_range: Sequence[float]) -> NDArray[np.float32]:
    """``pixels`` of any shape and real dtype -> float32 of the same shape in 0..1, clipped.

    ``intensity_range``: the samples that mean 0 and 1, :func:`usable`."""
    low, high = intensity_range
    unit = pixels.astype(np.float32)
    if low:
        unit -= np.float32(low)
    unit *= np.float32(1.0 / (high - low))
    return np.clip(unit, 0.0, 1.0, out=unit)


def to_unit_rgb(pixels: NDArray[np.generic], intensity_range: Sequence[float]) -> NDArray[np.float32]:
    """``pixels`` (n, h, w, 1 or 3) of any real dtype -> float32 (n, h, w, 3) in 0..1, clipped; grey is repeated."""
    unit = to_unit(pixels, intensity_range)
    return np.repeat(unit, 3, axis=-1) if unit.shape[-1] == 1 else unit
