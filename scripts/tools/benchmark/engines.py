"""The forward pass in this process: engines interleaved, warmed up, medians."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from handler.card import HeadCrop, ModelCard, read_card
from handler.crop import head_box
from handler.engines import open_engine
from handler.network import load
from handler.preprocess import normalise
from samples.phantom import draw

WARM_UP = 2


@dataclass(frozen=True)
class EngineResult:
    """Median seconds of a forward pass; ``ratio``: how many times faster than the reference of its version."""

    version: str
    name: str
    seconds: float
    ratio: float


def _eager(card: ModelCard, folder: Path, *, channels_last: bool) -> Callable[[NDArray[np.float32]], object]:
    network = load(card, folder)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    network = network.to(memory_format=layout)

    def forward(image: NDArray[np.float32]) -> object:
        with torch.inference_mode():
            return network(torch.from_numpy(image).to(memory_format=layout))

    return forward


def _candidates(folder: Path, threads: int, image: NDArray[np.float32]) -> dict[str, Callable[[], object]]:
    """Name -> one forward pass over ``image`` (h, w, 3), 0..1. Finding the head is part of the cropped pass."""
    card = read_card(folder)
    torch.set_num_threads(threads)
    engine = open_engine("ncnn", card, folder, threads)
    whole = normalise(image[None], card.input.mean, card.input.std)
    eager, last = (_eager(card, folder, channels_last=flag) for flag in (False, True))

    def cropped() -> object:
        box = head_box(image, card.crop or HeadCrop())
        if box is None:
            raise RuntimeError("the phantom has no head")
        return engine.logits(normalise(image[box.slices][None], card.input.mean, card.input.std))

    return {
        "torch eager, NCHW": lambda: eager(whole),
        "torch eager, channels-last": lambda: last(whole),
        "ncnn": lambda: engine.logits(whole),
        "ncnn, cropped to the head": cropped,
    }


def measure_engines(
    folders: dict[str, Path], threads: int, rounds: int, advance: Callable[[], None]
) -> list[EngineResult]:
    """``folders``: unpacked archives by version. Every round runs each candidate of each version once, so that a busy
    moment of the machine hits all alike; ``advance`` is called after each round."""
    image = (draw(1, 0.09).image / 255).astype(np.float32)
    passes = {
        (version, name): forward
        for version, folder in folders.items()
        for name, forward in _candidates(folder, threads, image).items()
    }
    seconds: dict[tuple[str, str], list[float]] = {key: [] for key in passes}
    for number in range(rounds + WARM_UP):
        for key, forward in passes.items():
            begin = time.perf_counter()
            forward()
            if number >= WARM_UP:
                seconds[key].append(time.perf_counter() - begin)
        advance()
    medians = {key: statistics.median(values) for key, values in seconds.items()}
    return [
        EngineResult(version, name, median, medians[version, "torch eager, NCHW"] / median)
        for (version, name), median in medians.items()
    ]
