"""How long each engine takes on this machine: a slice alone, and one of a stack."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handler.card import ModelCard
from handler.engines import Engine
from handler.predict import predict_slices
from samples.phantom import draw

ROUNDS = 9
ENOUGH_SECONDS = 5.0  # no new round after it
FEWEST_ROUNDS = 3
STACK = 4  # slices
CLOSE = 1.05  # times as fast, below which the engine named first is taken


@dataclass(frozen=True)
class Speed:
    """Milliseconds a slice, the least of the rounds: what else runs on the machine can only add to them."""

    lone: float
    stack: float

    @property
    def both(self) -> float:
        """What engines are ranked by: the geometric mean, so that neither use outweighs the other."""
        return float(np.sqrt(self.lone * self.stack))


def measure(card: ModelCard, engines: Sequence[Engine]) -> dict[str, Speed]:
    """Each of ``engines`` in turn, round after round, so that a busy moment hits all alike; as served: the head's box
    is part of it. The first pass of each is not measured."""
    stack = np.stack([(draw(seed, 0.09, card.input.height).image / 255).astype(np.float32) for seed in range(STACK)])
    seconds: dict[str, list[tuple[float, float]]] = {engine.name: [] for engine in engines}
    for engine in engines:
        predict_slices(engine, card, stack)
    begin = time.monotonic()
    for done in range(ROUNDS):
        if done >= FEWEST_ROUNDS and time.monotonic() - begin > ENOUGH_SECONDS:
            break
        for engine in engines:
            seconds[engine.name].append((_timed(engine, card, stack[:1]), _timed(engine, card, stack) / STACK))
    return {
        name: Speed(*(round(1e3 * min(part), 2) for part in zip(*spent, strict=True)))
        for name, spent in seconds.items()
    }


def _timed(engine: Engine, card: ModelCard, images: NDArray[np.float32]) -> float:
    begin = time.perf_counter()
    predict_slices(engine, card, images)
    return time.perf_counter() - begin


def fastest(speeds: Mapping[str, Speed]) -> str:
    """The engine with the smallest :attr:`Speed.both`; one named earlier that is as good as equal."""
    best = min(speed.both for speed in speeds.values())
    return next(name for name, speed in speeds.items() if speed.both <= best * CLOSE)
