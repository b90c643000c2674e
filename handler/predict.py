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

from handler.card import InputSpec, ModelCard
from handler.compose import maps_of, probabilities
from handler.crop import Box, head_box
from handler.engines import Engine
from handler.errors import RequestError
from handler.neighbours import Rolling, inputs_of
from handler.preprocess import to_grid
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


def _turned(
    engine: Engine,
    card: ModelCard,
    images: NDArray[np.float32],
    maps: tuple[int, ...],
    turn: Callable[[NDArray[np.float32]], NDArray[np.float32]],
) -> NDArray[np.float32]:
    """``turn`` of the logits of ``images``, as :func:`predict_slices` takes them, with ``maps`` of a slice; 0 outside
    the head's box, which is that of the slice in the middle, of a slab that of all its slices together."""
    view = card.input.view
    units = (len(images) - 2 * view.around) // view.kept
    result = np.zeros((units * view.kept, *maps, *images.shape[1:3]), np.float32)
    spans = [slice(at * view.kept, at * view.kept + view.seen) for at in range(units)]
    boxes = [
        head_box(images[span].max(axis=0) if view.slab else images[i + view.around], card.crop)
        for i, span in enumerate(spans)
    ]

    def call(indices: list[int]) -> None:
        windows = [images[spans[i]][:, *box.slices] for i in indices if (box := boxes[i]) is not None]
        logits = engine.logits(inputs_of(np.stack(windows), card.input))
        found = turn(logits[:, view.around : view.around + view.kept] if view.slab else logits)
        if np.isnan(found).any():
            raise ArithmeticError(f"engine {engine.name} answered with NaN")
        for i, probability in zip(indices, found, strict=True):
            if (box := boxes[i]) is not None:
                target = result[i * view.kept : (i + 1) * view.kept] if view.slab else result[i]
                target[(..., *box.slices)] = probability

    for _ in _each(engine, call, _calls(engine, boxes)):
        pass
    return result


def predict_slices(
    engine: Engine, card: ModelCard, images: NDArray[np.float32], alone: bool = False
) -> tuple[NDArray[np.float32], float]:
    """Probabilities (n, h, w) of slices, of several classes (n, maps, h, w), and the seconds the engine took.
    ``images``: (n, h, w, 3), 0..1, on the network's grid; of a network that looks at several at a time with those
    around them, as :meth:`handler.neighbours.Rolling.of` gives them; ``alone``: each stands in for what is around it.
    Outside the head's box they are 0. Raises ``ArithmeticError`` when the engine answers with NaN."""
    view = card.input.view
    if alone and view.seen > 1:
        each = [predict_slices(engine, card, np.repeat(image[None], view.seen, axis=0)) for image in images]
        return np.stack([found[0] for found, _ in each]), sum(spent for _, spent in each)
    begin = time.perf_counter()
    result = _turned(engine, card, images, maps_of(card), lambda logits: probabilities(logits, card))
    return result, time.perf_counter() - begin


def raw_logits(engine: Engine, card: ModelCard, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """As :func:`predict_slices`, of whole slices and before calibration: logits (n, h, w), of several classes
    (n, channels, h, w)."""
    channels = () if card.labelling is None else (card.labelling.channels,)
    return _turned(engine, card.with_changes(crop=None), images, channels, lambda logits: logits)


def together(engine: Engine, spec: InputSpec | None = None) -> int:
    """Slices worth giving to :func:`predict_slices` at a time: enough that no thread of the engine's waits long for the
    last of them. One slab of a network over volumes (``spec``), which takes memory enough."""
    if spec is not None and spec.view.slab:
        return spec.view.kept
    return engine.batch if engine.at_once < 2 else engine.batch * engine.at_once * ROUNDS


def padded(stop: int, start: int, spec: InputSpec) -> int:
    """``stop``, moved on to where what begins at ``start`` is answered for in whole calls."""
    return start + -(-(stop - start) // spec.view.kept) * spec.view.kept


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
    memory are brought there :func:`together` at a time. A network that looks at several slices at a time is shown each
    with those around it; beyond the ends of the stack its first or last slice stands in.

    Raises what a source of pages raises, before the network runs; and ``timeout`` when ``deadline``, a
    :func:`time.monotonic` value, passes before the last slice is done, so that a long stack ends in an answer and not
    in a killed worker."""
    result = np.empty((scan.slices, *maps_of(card), card.input.height, card.input.width), np.float32)
    begin = time.perf_counter()
    running = 0.0
    looked: list[Thumbs] = []
    wanted, seen, decoding = intensity_range or scan.intensity_range, Survey(), 0.0

    def bring(first: int, last: int) -> NDArray[np.float32]:
        nonlocal seen, decoding
        grids, part, spent = _see(scan, card, wanted, deadline, first, last)
        seen, decoding = seen.and_of(part), decoding + spent
        return grids

    step, told, around = together(engine, card.input), 0, card.input.view.around
    window = Rolling(bring, scan.slices, around, whole=not isinstance(scan.source, ArraySource))
    for start in range(0, scan.slices, step):
        _check_time(deadline, start, scan.slices)
        stop = min(start + step, scan.slices)
        images = window.of(start, padded(stop, start, card.input))
        if watched:
            looked.append(thumbs(images[around : around + stop - start]))
        found, spent = predict_slices(engine, card, images)
        result[start:stop] = found[: stop - start]
        running += spent
        if start >= told + PROGRESS_EVERY:
            logger.info("stack: %d of %d slices", start, scan.slices)
            told = start
    return Prediction(
        result, seen, decoding, time.perf_counter() - begin - running - decoding, running, Thumbs.joined(looked)
    )
