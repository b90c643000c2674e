"""Does a heat map mean anything? What it calls the most important tenth of the head is blanked, and as much of the head
at random: if the answer falls no further for the first, the map is of no use (the deletion of Petsiuk et al., 2018, at
one point)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handler.explain.look import Look, Mask
from handler.explain.question import scores

TILE_PARTS = 16  # tiles along a side of the network's grid: pixels blanked one by one would be noise, which is seen
SHARE = 0.1
DRAWS = 5
SEED = 0  # the same request gets the same answer


@dataclass(frozen=True)
class Left:
    """The answer to a picture: its score, the largest probability, and the sum of the probabilities over the pixels
    that were tumour in the picture as it came."""

    score: float
    max_probability: float
    area: float


@dataclass(frozen=True)
class Deletion:
    """``blanked`` of ``tiles`` tiles of the head, each ``side`` pixels of the network's grid wide."""

    side: int
    tiles: int
    blanked: int
    whole: Left
    without_most_important: Left
    without_random: tuple[Left, ...]

    @property
    def faithful(self) -> bool:
        """Whether the most important tiles move the answer further down than any of the random draws."""
        return self.without_most_important.score < min(one.score for one in self.without_random)


def tiles_of(head: Mask, side: int) -> list[tuple[slice, slice]]:
    """The tiles at least half of which is ``head``, bool (h, w); all that show any of it where there is none such."""
    places = [
        (slice(top, top + side), slice(left, left + side))
        for top in range(0, head.shape[0], side)
        for left in range(0, head.shape[1], side)
    ]
    shares = [float(head[place].mean()) for place in places]
    return [place for place, share in zip(places, shares, strict=True) if share >= 0.5] or [
        place for place, share in zip(places, shares, strict=True) if share > 0
    ]


def _covering(shape: tuple[int, ...], places: Sequence[tuple[slice, slice]]) -> Mask:
    part = np.zeros(shape, bool)
    for place in places:
        part[place] = True
    return part


def deletion(look: Look, heat: NDArray[np.float32], check: Callable[[], None]) -> Deletion:
    """``heat``: (h, w), of ``look``'s picture. ``check``: called between calls of the engine; it may raise."""
    side = max(1, look.card.input.height // TILE_PARTS)
    places = tiles_of(look.head, side)
    count = max(1, round(SHARE * len(places)))
    order = np.argsort([-float(heat[place].mean()) for place in places], kind="stable")
    dice = np.random.default_rng(SEED)
    chosen = [order[:count], *(dice.choice(len(places), count, replace=False) for _ in range(DRAWS))]
    found = []
    for some in chosen:
        check()
        blanked = look.blanked(_covering(look.head.shape, [places[n] for n in some]))
        found.append(_left(look, look.probabilities(blanked[None])))
    return Deletion(side, len(places), count, _left(look, look.whole[None]), found[0], tuple(found[1:]))


def _left(look: Look, probabilities: NDArray[np.float32]) -> Left:
    area = float(probabilities[0, look.region].sum(dtype=np.float64))
    (score,) = scores(look.question, probabilities, look.region)
    return Left(float(score), float(probabilities.max()), area)
