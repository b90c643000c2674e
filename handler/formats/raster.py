"""What a format reader gives back, and the geometry all readers share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handler.errors import RequestError
from handler.scan import PageSource, Warn


@dataclass(frozen=True)
class Raster:
    """As in :class:`handler.scan.Scan`."""

    source: PageSource
    intensity_range: tuple[float, float]
    warnings: tuple[Warn, ...] = ()


def orient(image: NDArray[np.generic], orientation: int) -> NDArray[np.generic]:
    """``image`` (h, w, c) turned upright by its EXIF/TIFF ``orientation`` 1..8 (TIFF 6.0, tag 274); other values,
    which the standard reserves, leave it as it is."""
    if orientation in (5, 6, 7, 8):
        image = image.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return image


def check_channels(channels: int) -> None:
    """Raises ``unsupported_shape`` unless 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha)."""
    if not 1 <= channels <= 4:
        raise RequestError(
            "unsupported_shape",
            f"The scan has {channels} channels; expected 1 (grey), 2 (grey and alpha), 3 (RGB) or 4 (RGB and alpha).",
        )


def drop_alpha(image: NDArray[np.generic]) -> NDArray[np.generic]:
    """``image`` (h, w, 1..4) -> a view of its 1 or 3 colour channels."""
    check_channels(image.shape[-1])
    return image[..., : 1 if image.shape[-1] < 3 else 3]


def channel_warnings(channels: int) -> tuple[Warn, ...]:
    """What a client should know about how ``channels`` (1..4) samples a pixel were used."""
    warnings = []
    if channels in (2, 4):
        warnings.append(Warn("alpha_dropped", "the alpha channel was dropped"))
    if channels in (1, 2):
        warnings.append(Warn("grey_input", "one channel used for all three"))
    return tuple(warnings)
