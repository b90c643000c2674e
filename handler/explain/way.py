"""The way of a request for an explanation: decode one slice, judge it, explain it, test the map, draw it."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handler.answer import NOTICE, Answer, input_json, model_json, refused_headers
from handler.encode import png
from handler.errors import RequestError
from handler.explain import told
from handler.explain.asked import Asked, read_asked
from handler.explain.deletion import SHARE, Deletion, deletion
from handler.explain.look import Look, look_at
from handler.explain.occlusion import default_window, occlusion
from handler.explain.pictures import bounds, drawn, over
from handler.explain.question import UNITS
from handler.opening import open_subject
from handler.outcome import Outcome, guarded
from handler.pipeline import Model
from handler.preprocess import tensor_of
from handler.request import Request
from handler.subject import Seen, Subject
from handler.trust.report import Trust, ungated
from handler.trust.thumbs import thumbs
from handler.turns import Turn
from handler.wanted import ask

STAGE = "explain"  # of the seconds that metrics show


@dataclass(frozen=True, eq=False)
class Explained:
    """``heat``: float32 (h, w), of the look's picture; ``of``: what it is a map of, beside method and question;
    ``size``: of the smallest thing that it can show, in pixels of the network's grid."""

    heat: NDArray[np.float32]
    of: Mapping[str, Any]
    size: int
    deletion: Deletion


def explain(model: Model, parts: Mapping[str, Any], headers: Mapping[str, Any]) -> Outcome:
    """One request, whatever it holds, to its outcome; never raises. Arguments as in
    :func:`handler.request.parse_request`."""
    return guarded(headers, lambda seconds, turn: _explain(model, parts, headers, seconds, turn))


def _explain(
    model: Model, parts: Mapping[str, Any], headers: Mapping[str, Any], seconds: dict[str, float], turn: Turn
) -> Outcome:
    begin = time.monotonic()
    if model.card.input.view.seen > 1:
        raise RequestError(
            "explain_unavailable",
            "This model looks at several slices at a time, and an explanation is of one alone; ask a version that "
            "looks at single ones.",
        )
    request, asked = read_asked(parts, headers)
    deadline = begin + min(asked.seconds, model.deadline_seconds)
    subject = open_subject(request, model.limits, turn)
    index = _index(asked, subject.slices)
    seen = subject.seen(index, model.card.input)
    trust = _judged(model, seen, request.fields.gate)
    threshold = model.card.threshold if request.fields.threshold is None else request.fields.threshold
    look = _look(model, seen, threshold, asked)
    explained = _explained(model, look, asked, deadline)
    spent = time.monotonic() - begin
    seconds[STAGE] = spent
    body = _body(model, request, subject, index, asked, trust, look, explained, seen, spent)
    return Outcome(Answer(200, "application/json", json.dumps(body, allow_nan=False).encode()), "ok", None, seconds)


def _index(asked: Asked, slices: int) -> int:
    if asked.slice is None and slices > 1:
        raise RequestError(
            "invalid_parameter", f"The scan has {slices} slices, 0 to {slices - 1}; say which with the field slice."
        )
    if (index := asked.slice or 0) >= slices:
        raise RequestError("invalid_parameter", f"Field slice asks for {index}; the scan has 0 to {slices - 1}.")
    return index


def _judged(model: Model, seen: Seen, gate: str) -> Trust:
    """The gate's word on the slice alone. Raises ``not_assessed``."""
    if model.gate is None:
        return ungated(1)
    trust = model.gate.judge(thumbs(seen.grid[None]), gate)
    if trust.refused:
        raise RequestError(
            "not_assessed",
            f"The slice is not of the kind that the model knows ({', '.join(trust.scan.reasons)}), so there is no "
            "answer to explain. Send gate=off to have one explained all the same.",
            refused_headers(trust),
        )
    return trust


def _look(model: Model, seen: Seen, threshold: float, asked: Asked) -> Look:
    """Raises ``nothing_to_explain``."""
    look = look_at(model.engine, model.card, seen.grid, threshold, asked.question)
    if look is None or not look.head.any():
        raise RequestError("nothing_to_explain", "The slice is black: there is nothing in it that an answer hangs on.")
    ask()
    if asked.question == "area" and not look.region.any():
        raise RequestError(
            "nothing_to_explain",
            f"No pixel is above the threshold {threshold:g}, so there is no area to explain; ask question=verdict.",
        )
    return look


def _explained(model: Model, look: Look, asked: Asked, deadline: float) -> Explained:
    def check() -> None:
        ask()
        if time.monotonic() > deadline:
            raise RequestError("timeout", f"It was not done within {asked.seconds:g} s; give more seconds.")

    if asked.method == "occlusion":
        window = asked.window or default_window(model.card.input.height)
        heat, count = occlusion(look, window, deadline, asked.seconds)
        of: dict[str, Any] = {"window": window, "windows": count, "layer": None, "unit": UNITS[asked.question]}
        size = window
    else:
        heat, layer = _gradient(model, look, asked, deadline)
        of, size = {"window": None, "windows": None, "layer": layer, "unit": None}, int(layer["cell"])
    return Explained(heat, of, size, deletion(look, heat, check))


def _gradient(model: Model, look: Look, asked: Asked, deadline: float) -> tuple[NDArray[np.float32], Mapping[str, Any]]:
    if model.beside is None:
        raise RequestError(
            "explain_unavailable",
            "This release has no weights to take gradients of. Take method=occlusion, which needs none.",
        )
    image = tensor_of(look.image[None], model.card.input)
    return model.beside.gradcam(asked.question, image, look.region, deadline, asked.seconds)


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 5) for name, value in values.items()}


def _faithful(found: Deletion, question: str) -> dict[str, Any]:
    return {
        "faithful": found.faithful,
        "share": SHARE,
        "tile": found.side,
        "tiles": found.tiles,
        "blanked": found.blanked,
        "whole": _rounded(asdict(found.whole)),
        "without_most_important": _rounded(asdict(found.without_most_important)),
        "without_random": [_rounded(asdict(one)) for one in found.without_random],
        "said": told.believed(found, question),
    }


def _body(
    model: Model,
    request: Request,
    subject: Subject,
    index: int,
    asked: Asked,
    trust: Trust,
    look: Look,
    explained: Explained,
    seen: Seen,
    spent: float,
) -> dict[str, Any]:
    card = model.card
    grid = np.zeros(seen.grid.shape[:2], np.float32)
    grid[look.box.slices] = explained.heat
    heat = seen.back(grid)
    pictures = {"heat": png(drawn(heat)), "overlay": png(over(subject.drawn(index), heat))}
    return {
        "model": model_json(card),
        "input": input_json(subject),
        "slice": index,
        "method": asked.method,
        "question": asked.question,
        "threshold": look.threshold,
        **explained.of,
        "baseline": [round(float(value), 5) for value in look.baseline],
        "range": [round(value, 7) for value in bounds(heat)],
        "images": {name: base64.b64encode(picture).decode("ascii") for name, picture in pictures.items()},
        "said": told.meaning(asked.method, asked.question, explained.size),
        "deletion": _faithful(explained.deletion, asked.question),
        "trust": {**trust.scan.as_json(), "gate": trust.gate},
        "seconds": round(spent, 3),
        "notice": NOTICE,
    }
