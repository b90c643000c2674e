"""The way of a request to a classifier: decode one slice, run the network, say which class it shows."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from handler.answer import NOTICE, Answer, input_json, model_json
from handler.card import SEQUENCES, ModelCard
from handler.engines import Engine
from handler.errors import RequestError
from handler.opening import open_subject
from handler.outcome import Outcome, guarded
from handler.pipeline import Model
from handler.preprocess import tensor_of
from handler.request import Request, parse_request
from handler.subject import Subject
from handler.trust.report import ungated
from handler.turns import Turn
from handler.wanted import ask

JSON = "application/json"
# Of a segmentation's fields those that say what the network sees.
TAKEN = ("slices", "intensity_range", "series", "register")
ASSUMES = (
    "assumes_tumour",
    "The model names one of its classes whatever it sees, a head without a tumour too; it was shown slices with a "
    "tumour only.",
)


def classify(model: Model, parts: Mapping[str, Any], headers: Mapping[str, Any]) -> Outcome:
    """One request, whatever it holds, to its outcome; never raises. Arguments as in
    :func:`handler.request.parse_request`."""
    return guarded(headers, lambda seconds, turn: _classify(model, parts, headers, seconds, turn))


def cannot_explain(headers: Mapping[str, Any]) -> Outcome:
    """To whoever asks a classifier why."""

    def refuse(_seconds: dict[str, float], _turn: Turn) -> Outcome:
        raise RequestError("explain_unavailable", "A model that names types has no explanations; ask for the label.")

    return guarded(headers, refuse)


def probabilities(engine: Engine, card: ModelCard, grid: NDArray[np.float32]) -> NDArray[np.float64]:
    """Of a slice as the network sees it, float32 (h, w, 3) in 0..1: the calibrated probability of each of the card's
    labels, float64 (labels,), together 1. Raises ``ArithmeticError`` when the engine answers with NaN."""
    logits = engine.logits(tensor_of(grid[None], card.input)).reshape(-1).astype(np.float64)
    if not np.isfinite(logits).all():
        raise ArithmeticError(f"engine {engine.name} answered with {logits}")
    return np.asarray(softmax(card.calibration.platt[0] * logits))


def after_contrast(grid: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of a slice (h, w, 3) whose channels are :data:`handler.card.SEQUENCES` the one after contrast, thrice: the
    network has seen nothing else. Of a grey picture, or a lone volume, all three are the same."""
    return np.repeat(grid[..., SEQUENCES.index("t1c"), None], 3, axis=-1)


def _classify(
    model: Model, parts: Mapping[str, Any], headers: Mapping[str, Any], seconds: dict[str, float], turn: Turn
) -> Outcome:
    begin = time.perf_counter()
    request = parse_request(parts, headers)
    _check_fields(request)
    if JSON not in request.accept:
        raise RequestError("not_acceptable", f"A class is told as {JSON}; Accept has {', '.join(request.accept)}.")
    subject = open_subject(request, model.limits, turn)
    index = _index(request, subject)
    decoded = time.perf_counter()
    grid = after_contrast(subject.seen(index, model.card.input).grid)
    ask()
    seen = time.perf_counter()
    chances = probabilities(model.engine, model.card, grid)
    done = time.perf_counter()
    seconds |= {"decode": decoded - begin, "preprocess": seen - decoded, "inference": done - seen}
    body = _body(model.card, subject, index, chances, seconds)
    return Outcome(Answer(200, JSON, json.dumps(body, allow_nan=False).encode()), "ok", None, seconds)


def _check_fields(request: Request) -> None:
    """Raises ``invalid_parameter`` for a field that says nothing about a class: it would be left unheeded."""
    default = type(request.fields)()
    given = [name for name, value in vars(request.fields).items() if value != getattr(default, name)]
    # A server asks every model for its known answers with outputs=none, which is what a class comes with.
    others = [name for name in given if name not in TAKEN and not (name == "outputs" and request.fields.outputs == ())]
    if others:
        raise RequestError(
            "invalid_parameter", f"Field {others[0]} is for a segmentation; to be named takes {', '.join(TAKEN)}."
        )


def _index(request: Request, subject: Subject) -> int:
    """The slice that is meant. Raises ``invalid_parameter`` where it could be several."""
    last = subject.slices - 1
    asked = request.fields.slices or (0, last)
    if asked[1] > last:
        raise RequestError("invalid_parameter", f"Field slices asks for {asked[1]}; the scan has 0 to {last}.")
    if asked[0] != asked[1]:
        raise RequestError(
            "invalid_parameter",
            f"The scan has {subject.slices} slices, 0 to {last}; say which one shows the tumour, as in slices=7.",
        )
    return asked[0]


def _body(
    card: ModelCard, subject: Subject, index: int, chances: NDArray[np.float64], seconds: Mapping[str, float]
) -> dict[str, Any]:
    trust = ungated(1)
    return {
        "model": model_json(card),
        "input": input_json(subject),
        "slice": index,
        "label": card.names[int(chances.argmax())],
        "probabilities": {name: round(float(chance), 5) for name, chance in zip(card.names, chances, strict=True)},
        "trust": {**trust.scan.as_json(), "gate": trust.gate},
        "warnings": [{"code": ASSUMES[0], "detail": ASSUMES[1]}],
        "timing_ms": {stage: round(1e3 * spent, 3) for stage, spent in seconds.items()},
        "notice": NOTICE,
    }
