"""Do explanations point at the tumour, and does the answer hang on where they point? Per method and question, over
slices whose truth is known."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from handler.engines import Engine
from handler.explain.asked import METHODS, QUESTIONS
from handler.explain.deletion import Deletion, deletion
from handler.explain.gradcam import gradcam
from handler.explain.look import Look, look_at
from handler.explain.occlusion import default_window, occlusion
from handler.network import load
from handler.pipeline import Model
from handler.preprocess import tensor_of
from training.data.slices import LabelledSlice

NEVER = float("inf")
FIRST = QUESTIONS[0]


@dataclass(frozen=True)
class Row:
    """Of one slice. ``heat_inside``: the share of the map's heat (what is above 0) that lies in the truth's mask;
    ``area_inside``: the truth's share of the head, which a map without a pattern would have. ``important`` and
    ``random``: what is left of the answer, 0..1 of the whole: the largest probability or the area. ``seconds``: of
    processor time for the map alone."""

    name: str
    method: str
    question: str
    heat_inside: float
    area_inside: float
    important: float
    random: float
    faithful: bool
    seconds: float


class _Once:
    """An engine that is asked once for each picture: both questions cover the same places."""

    def __init__(self, engine: Engine) -> None:
        self.name, self.threads, self.batch, self.at_once = engine.name, engine.threads, engine.batch, engine.at_once
        self._engine = engine
        self._known: dict[bytes, NDArray[np.float32]] = {}

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        key = hashlib.sha256(images.tobytes()).digest()
        if key not in self._known:
            self._known[key] = self._engine.logits(images)
        return self._known[key]


def _map(network: torch.nn.Module, look: Look, method: str) -> NDArray[np.float32]:
    if method == "occlusion":
        return occlusion(look, default_window(look.card.input.height), NEVER, NEVER)[0]
    image = torch.from_numpy(tensor_of(look.image[None], look.card.input))
    found = gradcam(network, image, look.question, look.card.calibration, torch.from_numpy(look.region))
    return found.heat.numpy()


def _left(found: Deletion, question: str) -> tuple[float, float]:
    name = "area" if question == "area" else "max_probability"
    whole = max(getattr(found.whole, name), 1e-12)
    random = float(np.mean([getattr(one, name) for one in found.without_random]))
    return getattr(found.without_most_important, name) / whole, random / whole


def judged(model: Model, slices: Sequence[LabelledSlice], advance: Callable[[Sequence[Row]], None]) -> list[Row]:
    """Rows for each of ``slices`` in which the model finds tumour; ``advance`` is called after each slice, with all
    that there are. Raises ``ValueError`` for a model without files."""
    if model.folder is None:
        raise ValueError("the model has no files to load the network from")
    card, rows = model.card, []
    network = load(card, model.folder).requires_grad_(False)
    for one in slices:
        engine = _Once(model.engine)
        for question in QUESTIONS:
            look = look_at(engine, card, one.unit_rgb(card.input), card.threshold, question)
            if look is None or not look.region.any():
                continue
            truth = one.mask_on(card.input)[look.box.slices]
            area = float((truth & look.head).sum() / look.head.sum())
            for method in METHODS:
                begin = time.process_time()
                heat = _map(network, look, method)
                seconds = time.process_time() - begin
                hot = np.maximum(heat, 0)
                inside = float(hot[truth].sum() / max(float(hot.sum()), 1e-12))
                found = deletion(look, heat, lambda: None)
                important, random = _left(found, question)
                name = one.pair.name
                rows.append(Row(name, method, question, inside, area, important, random, found.faithful, seconds))
        advance(rows)
    return rows


def richest(slices: Sequence[LabelledSlice]) -> LabelledSlice:
    """Of one case: the slice with most tumour in the truth."""
    return max(slices, key=lambda one: one.tumour_pixels)


def table(rows: Sequence[Row]) -> list[str]:
    """In Markdown: medians over the slices, and how many maps the deletion believes."""
    lines = [
        "| method | question | slices | heat inside the tumour | the tumour's share of the head | left without the "
        "brightest tenth | left without a tenth at random | believed | seconds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for method in METHODS:
        for question in QUESTIONS:
            some = [row for row in rows if (row.method, row.question) == (method, question)]
            if not some:
                continue
            columns = [[row.heat_inside, row.area_inside, row.important, row.random] for row in some]
            medians = " | ".join(f"{value:.2f}" for value in np.median(columns, axis=0))
            believed = f"{sum(row.faithful for row in some)} of {len(some)}"
            # Of the question that was asked first: the other found the answers there.
            seconds = float(np.median([row.seconds for row in rows if (row.method, row.question) == (method, FIRST)]))
            lines.append(f"| {method} | {question} | {len(some)} | {medians} | {believed} | {seconds:.2f} |")
    return lines
