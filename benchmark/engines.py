"""The forward pass: engines interleaved, warmed up, medians. Each engine has a process of its own, for in one process
the thread pools of PyTorch and others would get in each other's way."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.waiting import default_waiting
from handler.card import ModelCard, read_card
from handler.crop import head_box
from handler.engines import open_engine
from handler.network import load
from handler.preprocess import tensor_of
from samples.phantom import draw

WARM_UP = 2
EAGER, EAGER_LAST, OURS, OURS_CROPPED = (
    "torch eager, NCHW",
    "torch eager, channels-last",
    "the release's engine",
    "the release's engine, cropped to the head",
)
# The names that one process measures.
PROCESSES = ((EAGER,), (EAGER_LAST,), (OURS, OURS_CROPPED))


@dataclass(frozen=True)
class EngineResult:
    """Median seconds of a forward pass; ``ratio``: how many times faster than the reference of its version. ``share``:
    how much of the slice the network saw, 0..1."""

    version: str
    name: str
    seconds: float
    ratio: float
    share: float


@dataclass(frozen=True)
class Pass:
    """One forward pass, and the share of the slice it sees."""

    run: Callable[[], object]
    share: float = 1.0


def _eager(card: ModelCard, folder: Path, image: NDArray[np.float32], layout: torch.memory_format) -> Pass:
    network = load(card, folder).to(memory_format=layout)

    def forward() -> object:
        with torch.inference_mode():
            return network(torch.from_numpy(image).to(memory_format=layout))

    return Pass(forward)


def _cropped(card: ModelCard, forward: Callable[[NDArray[np.float32]], object], image: NDArray[np.float32]) -> Pass:
    """Finding the head is part of it. A release that must not crop is measured as it runs: on the whole slice."""
    box = head_box(image, card.crop)
    if box is None:
        raise RuntimeError("the phantom has no head")

    def run() -> object:
        found = head_box(image, card.crop) or box
        return forward(tensor_of(image[found.slices][None], card.input))

    return Pass(run, box.shape[0] * box.shape[1] / (image.shape[0] * image.shape[1]))


def _passes(folder: Path, threads: int, names: tuple[str, ...]) -> Mapping[str, Pass]:
    """``names`` -> forward passes over a phantom with a lesion."""
    image = (draw(1, 0.09).image / 255).astype(np.float32)
    card = read_card(folder)
    torch.set_num_threads(threads)
    whole = tensor_of(image[None], card.input)
    if names == (EAGER,):
        return {EAGER: _eager(card, folder, whole, torch.contiguous_format)}
    if names == (EAGER_LAST,):
        return {EAGER_LAST: _eager(card, folder, whole, torch.channels_last)}
    engine = open_engine(str(card.serving.get("engine", "auto")), card, folder, threads)
    return {OURS: Pass(lambda: engine.logits(whole)), OURS_CROPPED: _cropped(card, engine.logits, image)}


def _serve(connection: Connection, folder: Path, threads: int, names: tuple[str, ...]) -> None:
    """The process: answers a name with the seconds of one pass, until it is told None. A pass before it, not measured,
    brings the weights back into the caches after the other engines' turns, as they are in a server at work."""
    passes = _passes(folder, threads, names)
    connection.send({name: one.share for name, one in passes.items()})
    while (name := connection.recv()) is not None:
        passes[name].run()
        begin = time.perf_counter()
        passes[name].run()
        connection.send(time.perf_counter() - begin)


class _Process:
    """A process that measures the passes ``names`` of the release in ``folder``."""

    def __init__(self, folder: Path, threads: int, names: tuple[str, ...]) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, folder, threads, names), daemon=True)
        self._process.start()
        theirs.close()  # so that a process that died is noticed: reading from it then ends in EOFError
        self.shares: dict[str, float] = self._connection.recv()

    def seconds(self, name: str) -> float:
        self._connection.send(name)
        spent: float = self._connection.recv()
        return spent

    def close(self) -> None:
        self._connection.send(None)
        self._process.join(30)


def measure_engines(
    folders: dict[str, Path], threads: int, rounds: int, advance: Callable[[], None]
) -> list[EngineResult]:
    """``folders``: unpacked archives by version. Every round runs each pass of each version once, so that a busy
    moment of the machine hits all alike; ``advance`` is called after each round."""
    with ExitStack() as stack:
        processes: dict[tuple[str, str], _Process] = {}
        for version, folder in folders.items():
            for names in PROCESSES:
                # PyTorch gets what it is used to; our own engine waits as it does when it serves.
                with default_waiting(names[0] != OURS):
                    process = _Process(folder, threads, names)
                stack.callback(process.close)
                processes |= {(version, name): process for name in names}
        seconds: dict[tuple[str, str], list[float]] = {key: [] for key in processes}
        for number in range(rounds + WARM_UP):
            for (version, name), process in processes.items():
                spent = process.seconds(name)
                if number >= WARM_UP:
                    seconds[version, name].append(spent)
            advance()
        shares = {key: process.shares[key[1]] for key, process in processes.items()}
    medians = {key: statistics.median(values) for key, values in seconds.items()}
    return [
        EngineResult(version, name, median, medians[version, EAGER] / median, shares[version, name])
        for (version, name), median in medians.items()
    ]
