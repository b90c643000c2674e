"""What a network says of a pixel -> tumour or none, and of several classes which label. One rule for one class and for
several, so that whatever knows one map a slice (pictures, trust, drift, the page's slider) goes on with tumour.

Of a network of several classes there are maps: with softmax a label's probability each, with sigmoid a region's. What
they say of tumour is one map more, above the threshold exactly where the mask has a label:

* softmax: the likeliest label against none, p / (p + p0). It is above 0.5 exactly where a label has the largest of all
  n + 1 probabilities, so that at 0.5 the mask is their argmax; another threshold moves the odds that a label needs.
* sigmoid: the largest of the regions, each where its own threshold is the card's: a region with another one has its
  odds moved by the difference. At the card's threshold the mask is that of the regions' own, written in their order
  (as the BraTS evaluation has them nested); another threshold moves all of them by the same odds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from handler.card import Calibration, ModelCard
from handler.labels import SOFTMAX, Labelling
from handler.measure import STEPS, Part, SegmentedSlice, above, drop_small, measure_mask, to_steps

Steps = NDArray[np.uint16]


def maps_of(card: ModelCard) -> tuple[int, ...]:
    """The axis of the maps in an array of probabilities: none for tumour alone."""
    return () if card.labelling is None else (card.labelling.maps,)


def calibrated(logits: NDArray[np.float32], calibration: Calibration) -> NDArray[np.float32]:
    """Logits of any shape -> probabilities of tumour alone."""
    scale, offset = calibration.platt
    return expit(np.float32(scale) * logits + np.float32(offset)).astype(np.float32)


def probabilities(logits: NDArray[np.float32], card: ModelCard) -> NDArray[np.float32]:
    """Logits as :class:`handler.engines.Engine` gives them -> calibrated probabilities, float32: (n, h, w) of any
    shape for tumour alone; (n, c, h, w) -> (n, maps, h, w) for several classes."""
    if card.labelling is None:
        return calibrated(logits, card.calibration)
    numbers = (np.asarray(one, np.float32) for one in (card.calibration.scale, card.calibration.offset))
    scale, offset = (one.reshape(-1, 1, 1) if one.ndim else one for one in numbers)
    odds = scale * logits + offset
    if card.labelling.activation == SOFTMAX:
        return np.asarray(softmax(odds, axis=1)[:, 1:], np.float32)
    return np.asarray(expit(odds), np.float32)


def label_steps(maps: Steps, labelling: Labelling) -> Steps:
    """``maps``: uint16 (maps, h, w), probability * 65535 -> those of the labels, (labels, h, w). Of a network of
    regions a label is where the region that writes it is and none that is written over it: the difference, 0 or
    more."""
    if labelling.activation == SOFTMAX:
        return maps
    found = np.empty((len(labelling.labels), *maps.shape[1:]), np.uint16)
    for index, region in enumerate(labelling.regions):
        over = [
            maps[later]
            for later, other in enumerate(labelling.regions[index + 1 :], index + 1)
            if set(other.labels) & set(region.labels)
        ]
        highest = np.max(over, axis=0) if over else np.zeros_like(maps[index])
        found[(region.writes or 0) - 1] = maps[index] - np.minimum(maps[index], highest)
    return found


def region_steps(maps: Steps, labelling: Labelling) -> Steps:
    """As :func:`label_steps`, of the regions: the sum of their labels where the network has no map of theirs."""
    if labelling.activation != SOFTMAX:
        return maps
    found = np.zeros((len(labelling.regions), *maps.shape[1:]), np.uint16)
    for index, region in enumerate(labelling.regions):
        total = maps[[value - 1 for value in region.labels]].sum(axis=0, dtype=np.uint32)
        found[index] = np.minimum(total, STEPS)
    return found


def _against_none(maps: Steps) -> Steps:
    best = maps.max(axis=0).astype(np.float64)
    none = STEPS - np.minimum(maps.sum(axis=0, dtype=np.uint32), STEPS)
    # A half is rounded down: at 0.5 a label that is as likely as none is none, as argmax takes the first of equals.
    return np.ceil(STEPS * best / (best + none) - 0.5).astype(np.uint16)


def _moved(one: Steps, threshold: float, usual: float) -> Steps:
    """Probabilities whose odds are moved so that ``threshold`` becomes ``usual``."""
    if threshold == usual:
        return one
    odds = usual / (1 - usual) * (1 - threshold) / threshold
    return np.rint(STEPS * (odds * one / (odds * one + (STEPS - one.astype(np.float64))))).astype(np.uint16)


@dataclass(frozen=True)
class Rule:
    """``threshold``: 0 < t < 1; ``smallest``: 8-connected components of tumour, of whatever labels, with fewer pixels
    are dropped. ``labelling``: None for tumour alone. ``usual``: the card's threshold."""

    threshold: float
    smallest: int = 0
    labelling: Labelling | None = None
    usual: float = 0.5

    @classmethod
    def of(cls, card: ModelCard, threshold: float | None = None, smallest: int | None = None) -> Rule:
        """The card's, but for what is given."""
        return cls(
            card.threshold if threshold is None else threshold,
            card.min_lesion_pixels if smallest is None else smallest,
            card.labelling,
            card.threshold,
        )

    def tumour(self, steps: Steps) -> Steps:
        """Of a slice, (h, w) for tumour alone or (maps, h, w): uint16 (h, w), the probability of tumour * 65535."""
        if self.labelling is None:
            return steps
        if self.labelling.activation == SOFTMAX:
            return _against_none(steps)
        return np.asarray(np.max(self._moved(steps), axis=0))

    def _moved(self, steps: Steps) -> list[Steps]:
        regions = self.labelling.regions if self.labelling else ()
        return [_moved(one, region.threshold, self.usual) for one, region in zip(steps, regions, strict=True)]

    def mask(self, steps: Steps) -> NDArray[np.bool_]:
        """True where there is tumour, small components dropped. Per slice, so a slice has the same mask in a stack as
        alone."""
        return drop_small(above(self.tumour(steps), self.threshold), self.smallest)

    def values(self, steps: Steps, mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """``mask``: bool (h, w), of :meth:`mask` or less -> uint8 (h, w), 0 outside and a label's value inside."""
        if self.labelling is None:
            return mask.astype(np.uint8)
        if self.labelling.activation == SOFTMAX:
            return np.where(mask, steps.argmax(axis=0) + 1, 0).astype(np.uint8)
        found = np.zeros(mask.shape, np.uint8)
        for region, one in zip(self.labelling.regions, self._moved(steps), strict=True):
            found[mask & above(one, self.threshold)] = region.writes or 0
        return found

    def measured(self, steps: Steps, index: int, mask: NDArray[np.bool_] | None = None) -> SegmentedSlice:
        """``steps`` (h, w) or (maps, h, w) of the scan's own grid -> mask and measurements. ``mask``: where it was
        made already."""
        mask = self.mask(steps) if mask is None else mask
        if self.labelling is None:
            return measure_mask(steps, mask, index)
        values = self.values(steps, mask)
        counts = np.bincount(values[mask], minlength=len(self.labelling.labels) + 1)
        by_label, by_region = label_steps(steps, self.labelling), region_steps(steps, self.labelling)
        return measure_mask(
            self.tumour(steps),
            mask,
            index,
            values,
            by_label,
            tuple(
                Part(int(counts[label.value]), float(one.max()) / STEPS)
                for label, one in zip(self.labelling.labels, by_label, strict=True)
            ),
            tuple(
                Part(int(counts[list(region.labels)].sum()), float(one.max()) / STEPS)
                for region, one in zip(self.labelling.regions, by_region, strict=True)
            ),
        )


def tumour_of(found: NDArray[np.float32], card: ModelCard) -> NDArray[np.float32]:
    """What :func:`probabilities` gives -> the probability of tumour, float32 (n, h, w); NaN counts as 0."""
    if card.labelling is None:
        return found
    rule = Rule.of(card)
    return np.stack([rule.tumour(one) for one in to_steps(np.nan_to_num(found))]).astype(np.float32) / np.float32(STEPS)
