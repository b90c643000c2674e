"""Scan -> tumour probabilities on the network's grid, a few slices at a time."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handler.card import ModelCard
from handler.compose import maps_of, probabilities
from handler.crop import Box, head_box
from handler.engines import Engine
from handler.errors import RequestError
from handler.preprocess import tensor_of, to_grid
from handler.scan import ArraySource, Scan
from handler.survey import Survey, survey
from handler.trust.thumbs import Thumbs, thumbs
from handler.wanted import ask

logger = logging.getLogger(__name__)
PROGRESS_EVERY = 20  # slices between two lines in the log, at least
ROUNDS = 4  # calls of each thread between two looks at the clock


@dataclass(frozen=True)
class Prediction:
    """``probabilities``: float32 (slices, h, w), of several classes (slices, maps, h, w), 0..1, on the network's grid;
    ``survey``: of all samples; times in seconds, ``decode_seconds`` for the pages that were decoded only here.
    ``thumbs``: of the slices, for a gate; none unless they were asked for."""

    probabilities: NDArray[np.float32]
    survey: Survey
    decode_seconds: float
    preprocess_seconds: float
    inference_seconds: float
    thumbs: Thumbs


def _grouped(boxes: list[Box | None]) -> dict[tuple[int, int], list[int]]:
    """Indices of the boxes by shape: those of one shape go to the engine together. Blank slices are left out."""
    groups: dict[tuple[int, int], list[int]] = {}
    for index, box in enumerate(boxes):
        if box is not None:
            groups.setdefault(box.shape, []).append(index)
    return groups


@functools.cache
def _callers(count: int) -> ThreadPoolExecutor:
    """Threads that call an engine, kept for the next request."""
    return ThreadPoolExecutor(count, "slice")


def _each(engine: Engine, work: Callable[[list[int]], None], items: list[list[int]]) -> Iterable[None]:
    """``work`` on each of ``items``, as many at a time as ``engine`` wants; results in their order. A lone item stays
    in this thread, and the engine's threads are all its own."""
    if engine.at_once < 2 or len(items) < 2:
        return map(work, items)
    return _callers(engine.at_once).map(work, items)


def _calls(engine: Engine, boxes: list[Box | None]) -> list[list[int]]:
    """Indices of the slices of each call of ``engine``: at most its batch, all of one shape."""
    groups = _grouped(boxes).values()
    return [group[at : at + engine.batch] for group in groups for at in range(0, len(group), engine.batch)]


def predict_slices(engine: Engine, card: ModelCard, images: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """Probabilities (n, h, w), of several classes (n, maps, h, w), of ``images`` (n, h, w, 3), 0..1, on the network's
    grid, and the seconds the engine took. Outside the head's box they are 0. Raises ``ArithmeticError`` when the engine
    answers with NaN."""
    result = np.zeros((len(images), *maps_of(card), *images.shape[1:3]), np.float32)
    boxes = [head_box(image, card.crop) for image in images]

    def call(indices: list[int]) -> None:
        windows = [images[i][box.slices] for i in indices if (box := boxes[i]) is not None]
        tensor = tensor_of(np.stack(windows), card.input)
        found = probabilities(engine.logits(tensor), card)
        if np.isnan(found).any():
            raise ArithmeticError(f"engine {engine.name} answered with NaN")
        for i, probability in zip(indices, found, strict=True):
            if (box := boxes[i]) is not None:
                result[i][(..., *box.slices)] = probability

    begin = time.perf_counter()
    for _ in _each(engine, call, _calls(engine, boxes)):
        pass
    return result, time.perf_counter() - begin


def together(engine: Engine) -> int:
    """Slices worth giving to :func:`predict_slices` at a time: enough that no thread of the engine's waits long for the
    last of them."""
    return engine.batch if engine.at_once < 2 else engine.batch * engine.at_once * ROUNDS


def _check_time(deadline: float, done: int, slices: int) -> None:
    ask()
    if time.monotonic() > deadline:
        raise RequestError("timeout", f"{done} of {slices} slices were done in time. Send fewer slices.")


def _see(
    scan: Scan, card: ModelCard, intensity_range: tuple[float, float], deadline: float, start: int, stop: int
) -> tuple[NDArray[np.float32], Survey, float]:
    """Slices ``start`` to ``stop`` on the network's grid (0.8 MB each at 256 x 256), their survey, and the seconds that
    decoding took. Page by page, and each page once; none is kept."""
    grids = np.empty((stop - start, card.input.height, card.input.width, 3), np.float32)
    seen, decoding = Survey(), 0.0
    for index in range(start, stop):
        _check_time(deadline, start, scan.slices)
        begin = time.perf_counter()
        page = scan.source.pages(index, index + 1)
        decoding += time.perf_counter() - begin
        seen = seen.and_of(survey(page, intensity_range))
        grids[index - start] = to_grid(page, card.input, intensity_range)[0]
    return grids, seen, decoding


def predict(
    engine: Engine,
    card: ModelCard,
    scan: Scan,
    intensity_range: tuple[float, float] | None = None,
    deadline: float = float("inf"),
    watched: bool = False,
) -> Prediction:
    """Runs ``engine`` over all slices; ``watched``: thumbnails for a gate are gathered too. Pages that are not in
    memory yet are all decoded first and kept on the network's grid, so a broken one is found before it runs. Those in
    memory are brought there :func:`together` at a time.

    Raises what a source of pages raises, before the network runs; and ``timeout`` when ``deadline``, a
    :func:`time.monotonic` value, passes before the last slice is done, so that a long stack ends in an answer and not
    in a killed worker."""
    result = np.empty((scan.slices, *maps_of(card), card.input.height, card.input.width), np.float32)
    begin = time.perf_counter()
    running = 0.0
    looked: list[Thumbs] = []
    wanted, seen, decoding = intensity_range or scan.intensity_range, Survey(), 0.0
    step, told = together(engine), 0
    block = step if isinstance(scan.source, ArraySource) else scan.slices
    grids = np.empty((0, card.input.height, card.input.width, 3), np.float32)
    for start in range(0, scan.slices, step):
        _check_time(deadline, start, scan.slices)
        stop = min(start + step, scan.slices)
        if start % block == 0:
            grids, part, spent = _see(scan, card, wanted, deadline, start, min(start + block, scan.slices))
            seen, decoding = seen.and_of(part), decoding + spent
        at = start % block
        if watched:
            looked.append(thumbs(grids[at : at + stop - start]))
        result[start:stop], spent = predict_slices(engine, card, grids[at : at + stop - start])
        running += spent
        if start >= told + PROGRESS_EVERY:
            logger.info("stack: %d of %d slices", start, scan.slices)
            told = start
    return Prediction(
        result, seen, decoding, time.perf_counter() - begin - running - decoding, running, Thumbs.joined(looked)
    )
