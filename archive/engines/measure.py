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
from handler.preprocess import tensor_of
from samples.phantom import draw

FEWEST_ROUNDS, MOST_ROUNDS = 5, 40
STEADY_ROUNDS = 5  # without a better time of any engine: then the least is found
ENOUGH_SECONDS = 40.0  # no new round after it
HOPELESS = 3.0  # times as slow as the best after the fewest rounds: measured no further
STACK = 4  # slices
CLOSE = 1.05  # times as fast, below which the engine named first is taken
# Times as fast as ONNX Runtime or OpenVINO an engine must be to be worth its memory: a worker's 0.8 GB against 0.4 for
# a VGG16 by ncnn, whose Winograd keeps the weights transformed; 0.5 GB more for any network by PyTorch.
WORTH = {"ncnn": 1.25, "torch": 1.25}


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
    """Each of ``engines`` in turn, round after round, forwards and backwards, so that a busy moment hits all alike; as
    served: the head's box is part of it. On a machine with other work the least time of few rounds is chance: rounds go
    on until none is better than those before."""
    stack = np.stack([(draw(seed, 0.09, card.input.height).image / 255).astype(np.float32) for seed in range(STACK)])
    least = {engine.name: Speed(np.inf, np.inf) for engine in engines}
    running, steady = list(engines), 0
    begin = time.monotonic()
    for done in range(1, MOST_ROUNDS + 1):
        better = [_round(engine, card, stack, least) for engine in running]
        steady = 0 if any(better) else steady + 1
        running.reverse()
        if done < FEWEST_ROUNDS:
            continue
        if steady >= STEADY_ROUNDS or time.monotonic() - begin > ENOUGH_SECONDS:
            break
        best = min(speed.both for speed in least.values())
        running = [engine for engine in running if least[engine.name].both < HOPELESS * best]
    return {name: Speed(round(speed.lone, 2), round(speed.stack, 2)) for name, speed in least.items()}


def _round(engine: Engine, card: ModelCard, stack: NDArray[np.float32], least: dict[str, Speed]) -> bool:
    """Whether ``engine`` was faster than ever. Before each time a pass that is not measured: threads of the engine
    before may still look for work."""
    _run(engine, card, stack[:1])
    lone = 1e3 * _timed(engine, card, stack[:1])
    each = 1e3 * _timed(engine, card, stack) / STACK
    before = least[engine.name]
    least[engine.name] = Speed(min(lone, before.lone), min(each, before.stack))
    return least[engine.name].both < before.both


def lone(engine: Engine, card: ModelCard, rounds: int) -> float:
    """Milliseconds of processor time that a slice alone costs, the least of ``rounds``: for one engine on one thread,
    where what else runs on the machine counts little."""
    one = (draw(0, 0.09, card.input.height).image[None] / 255).astype(np.float32)
    _run(engine, card, one)
    seconds = []
    for _ in range(rounds):
        begin = time.process_time()
        _run(engine, card, one)
        seconds.append(time.process_time() - begin)
    return round(1e3 * min(seconds), 2)


def _timed(engine: Engine, card: ModelCard, images: NDArray[np.float32]) -> float:
    begin = time.perf_counter()
    _run(engine, card, images)
    return time.perf_counter() - begin


def fastest(speeds: Mapping[str, Speed]) -> str:
    """The engine with the smallest :attr:`Speed.both`, its memory (:data:`WORTH`) reckoned in; one named earlier that
    is as good as equal."""
    costs = {name: speed.both * WORTH.get(name, 1.0) for name, speed in speeds.items()}
    least = min(costs.values())
    return next(name for name, cost in costs.items() if cost <= least * CLOSE)


def _run(engine: Engine, card: ModelCard, images: NDArray[np.float32]) -> None:
    """As served: a classifier sees the whole slice and gives no map."""
    if card.architecture.classifies:
        engine.logits(tensor_of(images, card.input))
    else:
        predict_slices(engine, card, images, alone=True)
