"""A data set of phantoms in the published layout: small, licence-free, and worth nothing as a measure of quality."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from handler.files import write_atomic
from samples.phantom import draw

# Three institutions, so that stratifying has something to do.
PHANTOM_CASES = tuple(
    f"TCGA_{institution}_{number:04d}_20000101"
    for institution, count in (("CS", 3), ("DU", 4), ("HT", 3))
    for number in range(count)
)


def write_phantoms(folder: Path, size: int = 64, slices: int = 4, cases: tuple[str, ...] = PHANTOM_CASES) -> int:
    """Writes `slices` pairs of `size` x `size` pixels for each case below `folder`/kaggle_3m, every other one with a
    lesion; the same arguments write the same pictures. Returns the number of pairs."""
    for index, case in enumerate(cases):
        for number in range(1, slices + 1):
            phantom = draw(100 * index + number, 0.1 if number % 2 else 0.0, size)
            write_pair(folder / "kaggle_3m", case, number, phantom.image, phantom.mask)
    return len(cases) * slices


def write_pair(root: Path, case: str, number: int, image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> None:
    """One pair below `root`: `image` uint8 (h, w, 3), `mask` bool (h, w), as TIFF of 0 and 255."""
    stem = root / case / f"{case}_{number}"
    write_atomic(stem.with_suffix(".tif"), _tiff(image, "rgb"))
    write_atomic(stem.with_name(f"{stem.name}_mask.tif"), _tiff(mask.astype(np.uint8) * 255, "minisblack"))


def _tiff(pixels: NDArray[np.uint8], photometric: str) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, photometric=photometric)
    return buffer.getvalue()
