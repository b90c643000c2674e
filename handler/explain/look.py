"""The head of one slice as the network sees it, the network's answer to it, and how a part of it is blanked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from handler.card import ModelCard
from handler.compose import tumour_of
from handler.crop import Box, head_box
from handler.engines import Engine
from handler.explain.question import scores
from handler.predict import predict_slices, together
from handler.wanted import ask

AIR = 0.05  # pixels darker than this in every channel are no head, where the card does not say
Array = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Look:
    """``image``: float32 (h, w, 3), 0..1, the part of the network's grid that the network sees, at ``box`` of it.
    ``threshold``: 0..1, above which a pixel is tumour. ``question``: of :data:`handler.explain.asked.QUESTIONS`."""

    engine: Engine
    card: ModelCard
    image: Array
    box: Box
    threshold: float
    question: str

    @cached_property
    def head(self) -> Mask:
        """Bool (h, w)."""
        found: Mask = self.image.max(axis=2) > (self.card.crop.threshold if self.card.crop else AIR)
        return found

    @cached_property
    def baseline(self) -> Array:
        """What a blanked pixel becomes: float32 (3,), the median of the head, channel by channel. Black would be a hole
        in the head, such as the network never saw."""
        return np.median(self.image[self.head], axis=0).astype(np.float32) if self.head.any() else np.zeros(3, "f4")

    @cached_property
    def whole(self) -> Array:
        """The probabilities of the picture as it came, (h, w)."""
        return self.probabilities(self.image[None])[0]

    @cached_property
    def region(self) -> Mask:
        """Where they are tumour, bool (h, w)."""
        return self.whole > np.float32(self.threshold)

    def probabilities(self, images: Array) -> Array:
        """Of tumour in ``images`` (n, h, w, 3), each in the place of :attr:`image`: (n, h, w)."""
        return tumour_of(predict_slices(self.engine, self.card.with_changes(crop=None), images)[0], self.card)

    def blanked(self, part: Mask) -> Array:
        """The picture without what of the head is in ``part``, bool (h, w); the air stays as it is."""
        return np.where((part & self.head)[..., None], self.baseline, self.image)

    def without(self, parts: Sequence[Mask], done: Callable[[int], None]) -> NDArray[np.float64]:
        """The scores (n,) without each of ``parts``. ``done``: told, between calls of the engine, how many there are;
        it may raise."""
        step = max(1, together(self.engine))
        found = []
        for start in range(0, len(parts), step):
            ask()
            images = np.stack([self.blanked(part) for part in parts[start : start + step]])
            found.append(scores(self.question, self.probabilities(images), self.region))
            done(min(start + step, len(parts)))
        return np.concatenate(found)

    @cached_property
    def score(self) -> float:
        """Of the picture as it came."""
        return float(scores(self.question, self.whole[None], self.region)[0])


def look_at(engine: Engine, card: ModelCard, grid: Array, threshold: float, question: str) -> Look | None:
    """``grid``: float32 (h, w, 3), 0..1, a slice on the network's grid. None for one that the network never sees since
    it is all air."""
    box = head_box(grid, card.crop)
    return None if box is None else Look(engine, card, grid[box.slices], box, threshold, question)
