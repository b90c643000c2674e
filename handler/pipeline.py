"""The whole way of one request, in a plain Python process: decode, preprocess, predict, measure, render, answer."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from handler import render
from handler.answer import Answer, Summary, json_answer, picture_answer, problem_answer
from handler.card import ModelCard, read_card
from handler.decode import open_scan
from handler.engines import Engine, open_engine
from handler.errors import RequestError
from handler.limits import DEFAULT_LIMITS, Limits
from handler.measure import SegmentedSlice, SliceMeasurement, measure
from handler.predict import Prediction, predict
from handler.request import Request, parse_request
from handler.scan import Scan
from handler.survey import survey_warnings

logger = logging.getLogger(__name__)
STAGES = ("decode", "preprocess", "inference", "render")
SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # as the front door takes them


@dataclass(frozen=True)
class Model:
    """A release ready to run. ``deadline_seconds``: after this long a request is answered with ``timeout``."""

    card: ModelCard
    engine: Engine
    limits: Limits = DEFAULT_LIMITS
    deadline_seconds: float = float("inf")


def open_model(folder: Path, engine: str, threads: int, deadline_seconds: float = float("inf")) -> Model:
    """The release in ``folder`` (card and weights). Raises ``ValueError`` when a file is not what the card says."""
    card = read_card(folder)
    card.weights.verify(folder)  # whatever engine runs: an archive that was tampered with is not to be served
    return Model(card, open_engine(engine, card, folder, threads), deadline_seconds=deadline_seconds)


@dataclass(frozen=True)
class Settings:
    """The fields of a request with the card's defaults filled in. ``range_asked``: the client gave the range. ``kind``
    of answer: one of :data:`handler.accept.KINDS`. ``first``/``last``: slices to draw, inclusive."""

    threshold: float
    min_lesion_pixels: int
    intensity_range: tuple[float, float]
    range_asked: bool
    kind: str
    outputs: tuple[str, ...]
    first: int
    last: int


@dataclass(frozen=True)
class Outcome:
    """An answer and what the metrics want to know of it. ``code``: ``ok`` or the problem's; ``summary``: None for a
    problem; ``seconds`` by stage, for the stages that were reached."""

    answer: Answer
    code: str
    summary: Summary | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)


def _drawn_slices(wanted: tuple[int, int] | None, slices: int) -> tuple[int, int]:
    if wanted is None:
        return 0, slices - 1
    if wanted[1] >= slices:
        raise RequestError(
            "invalid_parameter", f"Field slices asks for slice {wanted[1]}; the scan has 0 to {slices - 1}."
        )
    return wanted


def _kind(accept: tuple[str, ...], slices: int) -> str:
    """What the client likes best of what can hold ``slices`` slices."""
    for kind in accept:
        if kind != "image/png" or slices == 1:
            return kind
    raise RequestError(
        "not_acceptable", f"A PNG holds one slice and {slices} are asked for; accept image/tiff or give slices."
    )


def settle(request: Request, scan: Scan, card: ModelCard, limits: Limits) -> Settings:
    """Settings for ``scan``; refuses here what cannot be answered, before the network runs.

    Raises ``invalid_parameter`` (slices outside the stack), ``not_acceptable`` (a PNG of several slices),
    ``response_too_large``."""
    fields = request.fields
    first, last = _drawn_slices(fields.slices, scan.slices)
    kind = _kind(request.accept, last - first + 1)
    outputs = fields.outputs if kind == "application/json" else ("mask",)
    render.check_answer_size(scan.width * scan.height, last - first + 1, outputs, limits)
    return Settings(
        card.threshold if fields.threshold is None else fields.threshold,
        card.min_lesion_pixels if fields.min_lesion_pixels is None else fields.min_lesion_pixels,
        fields.intensity_range or scan.intensity_range,
        fields.intensity_range is not None,
        kind,
        outputs,
        first,
        last,
    )


def segment(scan: Scan, prediction: Prediction, settings: Settings) -> Iterator[SegmentedSlice]:
    """Mask and measurements slice by slice, in the scan's own grid; only one slice is held at a time."""
    for index, probability in enumerate(prediction.probabilities):
        yield measure(probability, index, scan.height, scan.width, settings.threshold, settings.min_lesion_pixels)


def _draw(scan: Scan, segmented: SegmentedSlice, settings: Settings) -> dict[str, bytes]:
    index = segmented.measurement.index
    if not settings.outputs or not settings.first <= index <= settings.last:
        return {}
    page = scan.source.pages(index, index + 1)[0]
    view = render.View(render.to_uint8(page, settings.intensity_range), segmented)
    return {name: render.OUTPUTS[name].encode(view) for name in settings.outputs}


def _render(
    model: Model, scan: Scan, prediction: Prediction, settings: Settings
) -> tuple[Summary, list[dict[str, bytes]], bytes]:
    """Measurements and pictures; the last is the bare mask where that is the kind of answer. Raises
    ``response_too_large`` as soon as the pictures outgrow the limit, whatever the estimate said."""
    measurements: list[SliceMeasurement] = []
    images: list[dict[str, bytes]] = []
    masks = []
    size = 0.0
    for segmented in segment(scan, prediction, settings):
        measurements.append(segmented.measurement)
        inside = settings.first <= segmented.measurement.index <= settings.last
        if settings.kind != "application/json":
            masks += [render.draw_mask(render.View(render.NO_SCAN, segmented))] if inside else []
            continue
        images.append(_draw(scan, segmented, settings))
        size += render.BASE64 * sum(map(len, images[-1].values()))
        if size > model.limits.answer_bytes:
            raise RequestError(
                "response_too_large",
                f"The pictures outgrew {model.limits.answer_bytes / 2**20:.0f} MiB, more than expected; "
                "ask for fewer outputs (a mask always fits) or slices.",
            )
    bare = b""
    if masks:
        bare = render.png(masks[0]) if settings.kind == "image/png" else render.tiff(masks)
    return Summary(tuple(measurements)), images, bare


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    begin = time.perf_counter()
    try:
        yield
    finally:
        seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - begin


def _named(headers: Mapping[str, Any]) -> str:
    """``, id=…`` with the request's X-Request-Id, by which the log is searched; empty without one that is safe to be
    written into a log."""
    sent = next((value for name, value in headers.items() if name.lower() == "x-request-id"), None)
    return f", id={sent}" if isinstance(sent, str) and SAFE_ID.fullmatch(sent) else ""


def answer(model: Model, parts: Mapping[str, Any], headers: Mapping[str, Any]) -> Outcome:
    """One request, whatever it holds, to its outcome; never raises. Arguments as in
    :func:`handler.request.parse_request`."""
    seconds: dict[str, float] = {}
    try:
        return _answer(model, parts, headers, seconds)
    except RequestError as error:
        return Outcome(problem_answer(error), error.code, None, seconds)
    except Exception:
        # Our own fault: the neighbours in the batch and the worker must not pay for it.
        logger.exception("a request failed inside the handler%s", _named(headers))
        fault = RequestError("internal_error", "The request could not be answered; the server's log says why.")
        return Outcome(problem_answer(fault), fault.code, None, seconds)


def _answer(model: Model, parts: Mapping[str, Any], headers: Mapping[str, Any], seconds: dict[str, float]) -> Outcome:
    deadline = time.monotonic() + model.deadline_seconds
    request = parse_request(parts, headers)
    with _timed(seconds, "decode"):
        scan = open_scan(request.data, model.limits)
    settings = settle(request, scan, model.card, model.limits)
    if scan.decoded_bytes <= model.limits.held_bytes:
        with _timed(seconds, "decode"):
            scan = scan.held()
    prediction = predict(model.engine, model.card, scan, settings.intensity_range, deadline)
    seconds["decode"] += prediction.decode_seconds
    seconds |= {"preprocess": prediction.preprocess_seconds, "inference": prediction.inference_seconds}
    with _timed(seconds, "render"):
        summary, images, bare = _render(model, scan, prediction, settings)
    if settings.kind != "application/json":
        return Outcome(picture_answer(settings.kind, bare, model.card, summary), "ok", summary, seconds)
    reply = json_answer(
        model.card,
        scan,
        settings.threshold,
        settings.min_lesion_pixels,
        summary,
        images,
        scan.warnings + survey_warnings(prediction.survey, settings.intensity_range, settings.range_asked),
        seconds,
    )
    return Outcome(reply, "ok", summary, seconds)
