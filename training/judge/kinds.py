"""What makes a case hard, told from its slices and masks alone, before any network is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from handler.intensity import to_unit_rgb
from training.data.augment import HEAD
from training.data.slices import LabelledSlice

FLAIR = 1
LOWEST = 0.2  # share of the cases that count as small, or as dim
KINDS = {
    "copied": "the sequence before or after contrast was missing and is a copy of FLAIR",
    "dim": "of the fifth of cases whose tumour stands out least from the rest of the head in FLAIR",
    "small": "of the fifth of cases with the smallest tumours, in pixels over all slices",
}


def kinds_of(cases: Mapping[str, Sequence[LabelledSlice]]) -> dict[str, frozenset[str]]:
    """The cases of each of `KINDS`; a case may be of several, or of none. Each needs a slice with tumour."""
    size = {case: float(sum(item.tumour_pixels for item in slices)) for case, slices in cases.items()}
    contrast = {case: _contrast(slices) for case, slices in cases.items()}
    return {
        "copied": frozenset(case for case, slices in cases.items() if _copied(slices)),
        "dim": _lowest(contrast),
        "small": _lowest(size),
    }


def _lowest(values: Mapping[str, float]) -> frozenset[str]:
    order = sorted(values, key=lambda case: (values[case], case))
    return frozenset(order[: round(LOWEST * len(order))])


def _copied(slices: Sequence[LabelledSlice]) -> bool:
    pixels = [item.scan.pixels[0] for item in slices]
    return any(all(np.array_equal(one[..., other], one[..., FLAIR]) for one in pixels) for other in (0, 2))


def _contrast(slices: Sequence[LabelledSlice]) -> float:
    """Median FLAIR of the tumour less that of the rest of the head, 0..1, over the slices with tumour; 0 without."""
    inside, outside = [], []
    for item in slices:
        if item.tumour_pixels:
            flair = to_unit_rgb(item.scan.pixels, item.scan.intensity_range)[0, ..., FLAIR]
            inside.append(flair[item.mask])
            outside.append(flair[~item.mask & (flair > HEAD)])
    if not inside:
        return 0.0
    return float(np.median(np.concatenate(inside)) - np.median(np.concatenate(outside)))
