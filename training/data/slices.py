"""Decoded slices in memory. Images go through the handler's own decoder, so training sees what serving sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handler.card import InputSpec
from handler.decode import decode
from handler.errors import RequestError
from handler.intensity import to_unit_rgb
from handler.preprocess import preprocess, resize
from handler.scan import Scan
from training.data.cases import DataError, Pair


@dataclass(frozen=True)
class LabelledSlice:
    """A decoded slice: `scan` of one page and `mask`, bool of (height, width), in the file's own grid."""

    pair: Pair
    scan: Scan
    mask: NDArray[np.bool_]

    @property
    def tumour_pixels(self) -> int:
        return int(np.count_nonzero(self.mask))

    @property
    def tumour_percent(self) -> float:
        """Share of the slice's pixels that are tumour, in per cent."""
        return 100.0 * self.tumour_pixels / self.mask.size

    def unit_rgb(self, spec: InputSpec) -> NDArray[np.float32]:
        """The image on the network's grid: float32 (spec.height, spec.width, 3) in 0..1, not yet normalised."""
        return resize(to_unit_rgb(self.scan.pixels, self.scan.intensity_range), spec.height, spec.width)[0]

    def tensor(self, spec: InputSpec) -> NDArray[np.float32]:
        """What the network is given in serving: float32 (c, spec.height, spec.width), normalised."""
        return preprocess(self.scan, spec)[0]

    def mask_on(self, spec: InputSpec) -> NDArray[np.bool_]:
        """The mask on the network's grid; a pixel is tumour when at least half of its area is."""
        if self.mask.shape == (spec.height, spec.width):
            return self.mask
        area = resize(self.mask[None, :, :, None].astype(np.float32), spec.height, spec.width)
        return area[0, :, :, 0] >= 0.5


def load_slice(pair: Pair) -> LabelledSlice:
    """Reads one pair. Raises DataError, naming the file, when it is broken or image and mask differ in size."""
    try:
        scan = decode(pair.image.read_bytes())
        mask = decode(pair.mask.read_bytes()).pixels[0].max(axis=-1) > 0
    except (OSError, RequestError) as error:
        raise DataError(f"{pair.name}: cannot be read: {error}") from error
    if scan.slices != 1 or mask.shape != (scan.height, scan.width):
        raise DataError(
            f"{pair.name}: image {scan.slices} x {scan.height} x {scan.width}, mask {mask.shape}; "
            "expected one page and equal sizes"
        )
    return LabelledSlice(pair, scan, mask)


def load_slices(pairs: Sequence[Pair], advance: Callable[[], None] = lambda: None) -> list[LabelledSlice]:
    """Reads all `pairs` in order; `advance` is called after each. About 0.2 MB of memory a slice of 256x256."""

    def load(pair: Pair) -> LabelledSlice:
        loaded = load_slice(pair)
        advance()
        return loaded

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(load, pairs))
