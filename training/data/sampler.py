"""Which slice is drawn when, and with which random seed: a pure function of (seed, epoch, position)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Sampler

from settings.mapping import SettingsError


@dataclass(frozen=True)
class Draw:
    """One training sample: the index of its slice, the seed of its augmentation, and the epoch it belongs to."""

    index: int
    seed: int
    epoch: int


class SliceSampler(Sampler[Draw]):
    """Draws `samples` slices an epoch, a share of them with tumour, and deals them to the processes.

    Within an epoch no slice comes twice before every slice of its kind has come once; one with `times` above 1 counts
    as so many slices. Because draws depend on nothing but the seed and the epoch, a run that is killed and resumed at
    an epoch sees what it would have seen.
    """

    def __init__(
        self,
        has_tumour: Sequence[bool],
        samples: int | None,
        tumour_share: float | None,
        seed: int,
        rank: int = 0,
        processes: int = 1,
        times: Sequence[int] | None = None,
    ) -> None:
        flags = np.asarray(has_tumour, dtype=bool)
        counts = np.ones(len(flags), dtype=int) if times is None else np.asarray(times)
        kinds = (np.flatnonzero(flags), np.flatnonzero(~flags))
        self._kinds = tuple(np.repeat(kind, counts[kind]) for kind in kinds)
        self._samples = samples or len(flags)
        self._share = float(flags.mean()) if tumour_share is None else tumour_share
        if (self._share > 0 and not len(self._kinds[0])) or (self._share < 1 and not len(self._kinds[1])):
            raise SettingsError(
                f"tumour_share {self._share:g} cannot be drawn: of the {len(flags)} slices to train on "
                f"{int(flags.sum())} have tumour; train on data with both kinds, or set sampling.tumour_share to null "
                "(as they come)"
            )
        self._seed, self._epoch, self._rank, self._processes = seed, 0, rank, processes

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning at the start of each epoch."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._samples // self._processes

    def __iter__(self) -> Iterator[Draw]:
        rng = np.random.default_rng((self._seed, self._epoch))
        tumour = round(self._share * self._samples)
        order = np.concatenate(
            [_cycle(self._kinds[0], tumour, rng), _cycle(self._kinds[1], self._samples - tumour, rng)]
        )
        rng.shuffle(order)
        seeds = rng.integers(0, 2**31, size=len(order))
        for position in range(self._rank, len(self) * self._processes, self._processes):
            yield Draw(int(order[position]), int(seeds[position]), self._epoch)


def _cycle(indices: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` of `indices` in random order, all once before any twice."""
    if count == 0:
        return indices[:0]
    rounds = -(-count // len(indices))
    return np.concatenate([rng.permutation(indices) for _ in range(rounds)])[:count]
