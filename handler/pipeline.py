"""The whole way of one request, in a plain Python process: decode, preprocess, predict, measure, render, answer."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handler import render
from handler.answer import Summary, json_answer, picture_answer
from handler.card import ModelCard, read_card
from handler.compose import Rule
from handler.drift import counted
from handler.encode import png
from handler.engines import Engine, open_engine
from handler.engines.mirrored import looking
from handler.errors import RequestError
from handler.explain.beside import Beside
from handler.limits import DEFAULT_LIMITS, Limits
from handler.measure import SegmentedSlice, SliceMeasurement
from handler.opening import open_subject
from handler.outcome import Outcome, guarded
from handler.passport import Build, MaskDigest, header_of, record, unsigned
from handler.request import Request, parse_request
from handler.settle import Settings, check_assessed, settle
from handler.side_by_side import on_threads
from handler.subject import Steps, Subject
from handler.trust.gate import Gate, open_gate
from handler.trust.levels import Levels, levels_of
from handler.trust.quality import Estimator, estimator_of, quality_of
from handler.trust.report import Trust
from handler.turns import Turn
from handler.volumes.out.algorithm import TUMOR, Algorithm, segments_of
from handler.volumes.subject import WRITERS, ZIP, Scanned, everything
from handler.wanted import ask

STAGES = ("decode", "preprocess", "inference", "render")


@dataclass(frozen=True)
class Model:
    """A release ready to run. ``deadline_seconds``: after this long a request is answered with ``timeout``. ``gate``:
    None where the card has none. ``folder``: of its files, None where there are none."""

    card: ModelCard
    engine: Engine
    limits: Limits = DEFAULT_LIMITS
    deadline_seconds: float = float("inf")
    build: Build = field(default_factory=Build)
    gate: Gate | None = None
    folder: Path | None = None

    @cached_property
    def beside(self) -> Beside | None:
        """What computes gradients; None where there are no files."""
        return None if self.folder is None else Beside(self.folder, self.engine.threads)

    @cached_property
    def quality(self) -> Estimator | None:
        """What the card expects of a mask; None where it says nothing. Raises ``ValueError`` for what it cannot say."""
        return estimator_of(self.card.trust)


def open_model(folder: Path, engine: str, threads: int, deadline_seconds: float = float("inf")) -> Model:
    """The release in ``folder`` (card and weights). Raises ``ValueError`` when a file is not what the card says."""
    card = read_card(folder)
    card.weights.verify(folder)  # whatever engine runs: an archive that was tampered with is not to be served
    estimator_of(card.trust)
    return Model(
        card,
        open_engine(engine, card, folder, threads),
        deadline_seconds=deadline_seconds,
        build=Build.of(folder),
        gate=open_gate(card, folder),
        folder=folder,
    )


def segment(steps: Steps, rule: Rule) -> Iterator[SegmentedSlice]:
    """Mask and measurements slice by slice, in the scan's own grid; of a picture only one slice is held at a time."""
    masks = steps.masks(rule) if steps.masks else None
    for index, slice_steps in enumerate(steps.slices):
        ask()
        yield rule.measured(slice_steps, index, None if masks is None else masks[index])


def _draw(subject: Subject, segmented: SegmentedSlice, settings: Settings, trust: Trust) -> dict[str, bytes]:
    """The pictures of a slice; of one that is not assessed the scan alone."""
    index = segmented.measurement.index
    if not settings.outputs or not settings.first <= index <= settings.last:
        return {}
    view = render.View(subject.drawn(index), segmented, settings.colours)
    names = [name for name in settings.outputs if name == "scan" or trust.assessed(index)]
    made = on_threads(lambda name: render.OUTPUTS[name].encode(view), names, view.scan.size)
    return dict(zip(names, made, strict=True))


@dataclass(frozen=True, eq=False)
class Rendered:
    """``images``: of each slice, where the answer is JSON. ``masks``: bool (h, w), of several classes uint8 with the
    labels' values, of the slices to be drawn where the answer is a mask, of all slices of a scan with geometry.
    ``trust``: with what is to be expected of the masks. ``digest``: of the mask, where a passport is asked for."""

    summary: Summary
    images: list[dict[str, bytes]]
    masks: list[NDArray[np.bool_] | NDArray[np.uint8]]
    trust: Trust
    digest: MaskDigest | None = None

    @property
    def volume(self) -> NDArray[np.bool_] | NDArray[np.uint8]:
        """``masks`` as one, (slices, rows, columns)."""
        stacked: NDArray[Any] = np.stack(self.masks)
        return stacked


def _render(
    model: Model, subject: Subject, steps: Steps, settings: Settings, digest: MaskDigest | None = None
) -> Rendered:
    """Measurements and pictures. Raises ``response_too_large`` as soon as the pictures outgrow the limit, whatever the
    estimate said."""
    measurements: list[SliceMeasurement] = []
    images: list[dict[str, bytes]] = []
    masks: list[NDArray[np.bool_] | NDArray[np.uint8]] = []
    levels: list[Levels | None] = []
    size = 0.0
    geometric = isinstance(subject, Scanned)
    rule = Rule.of(model.card, settings.threshold, settings.min_lesion_pixels)
    for segmented in segment(steps, rule):
        measurements.append(segmented.measurement)
        if digest is not None:
            digest.add(segmented.marked)
        inside = settings.first <= segmented.measurement.index <= settings.last
        if geometric or (settings.kind != "application/json" and inside):
            masks.append(segmented.marked)
        wanted = model.quality and steps.trust.assessed(segmented.measurement.index)
        levels.append(levels_of(segmented.steps, segmented.mask) if wanted else None)
        if settings.kind == "application/json":
            images.append(_draw(subject, segmented, settings, steps.trust))
            size += render.BASE64 * sum(map(len, images[-1].values()))
        if size > model.limits.answer_bytes:
            raise RequestError(
                "response_too_large",
                f"The pictures outgrew {model.limits.answer_bytes / 2**20:.0f} MiB, more than expected; "
                "ask for fewer outputs (a mask always fits) or slices.",
            )
    voxel_ml = subject.channels.flair.grid.voxel_ml if isinstance(subject, Scanned) else None
    trust = steps.trust.with_quality(*quality_of(model.quality, levels, voxel_ml))
    return Rendered(Summary(tuple(measurements), not steps.trust.refused), images, masks, trust, digest)


def _algorithm(model: Model, settings: Settings) -> Algorithm:
    """What made the mask, as a DICOM object or a NIfTI names it."""
    card = model.card
    shaped = (
        ("weights", card.weights.sha256),
        ("threshold", f"{settings.threshold:g}"),
        ("min_lesion_pixels", str(settings.min_lesion_pixels)),
        *((("tta", settings.tta),) if settings.tta != "none" else ()),
    )
    segments = segments_of(card.labelling.labels) if card.labelling else TUMOR
    return Algorithm(card.version, shaped, card.name, segments)


def _bare(model: Model, subject: Subject, rendered: Rendered, settings: Settings) -> bytes:
    """The mask itself, in the kind of answer that was asked for."""
    if isinstance(subject, Scanned) and settings.kind in WRITERS:
        return WRITERS[settings.kind](subject, rendered.volume, _algorithm(model, settings), settings.seg)
    drawn = rendered.masks
    if isinstance(subject, Scanned):
        drawn = drawn[settings.first : settings.last + 1]
    pictures = [render.mask_picture(mask) for mask in drawn]
    return png(pictures[0]) if settings.kind == "image/png" else render.tiff(pictures)


def _zip(model: Model, subject: Scanned, rendered: Rendered, settings: Settings, result: bytes) -> bytes:
    """Raises ``response_too_large``."""
    mask, algorithm = rendered.volume, _algorithm(model, settings)
    packed = everything(subject, mask, algorithm, result, settings.seg, "scan" in settings.outputs)
    if len(packed) > model.limits.answer_bytes:
        raise RequestError(
            "response_too_large",
            f"The zip has {len(packed) / 2**20:.0f} MiB, more than {model.limits.answer_bytes / 2**20:.0f}; leave scan "
            "out of outputs.",
        )
    return packed


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    begin = time.perf_counter()
    try:
        yield
    finally:
        seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - begin


def answer(model: Model, parts: Mapping[str, Any], headers: Mapping[str, Any]) -> Outcome:
    """One request, whatever it holds, to its outcome; never raises. Arguments as in
    :func:`handler.request.parse_request`."""
    return guarded(headers, lambda seconds, turn: _answer(model, parts, headers, seconds, turn))


def _passport(model: Model, request: Request, settings: Settings, rendered: Rendered) -> dict[str, Any] | None:
    """The envelope, not signed yet; None where none was asked for."""
    if rendered.digest is None:
        return None
    in_force = replace(request.fields, threshold=settings.threshold, min_lesion_pixels=settings.min_lesion_pixels)
    return unsigned(
        record(model.build, model.card, model.engine, request.scans, in_force, rendered.summary, rendered.digest)
    )


def _answer(
    model: Model, parts: Mapping[str, Any], headers: Mapping[str, Any], seconds: dict[str, float], turn: Turn
) -> Outcome:
    deadline = time.monotonic() + model.deadline_seconds
    request = parse_request(parts, headers)
    with _timed(seconds, "decode"):
        subject = open_subject(request, model.limits, turn)
    settings = settle(request, subject, model.card, model.limits)
    steps = subject.steps(looking(model.engine, settings.tta), model.card, deadline, model.gate, settings.gate)
    seconds["decode"] += steps.decode_seconds
    seconds |= {"preprocess": steps.preprocess_seconds, "inference": steps.inference_seconds}
    check_assessed(steps.trust, settings, model.card.version)
    with _timed(seconds, "render"):
        rendered = _render(model, subject, steps, settings, MaskDigest() if request.fields.passport else None)
        passport = _passport(model, request, settings, rendered)
        carried = header_of(passport) if passport else {}
        carried |= counted(model.card.version, rendered.summary, steps.trust)
        if settings.kind not in ("application/json", ZIP):
            bare = _bare(model, subject, rendered, settings)
            reply = picture_answer(settings.kind, bare, model.card, rendered.summary)
            return Outcome(reply.with_headers(carried), "ok", rendered.summary, seconds)
        spatial = subject.spatial(rendered.volume) if isinstance(subject, Scanned) else None
    reply = json_answer(
        model.card,
        subject,
        settings.threshold,
        settings.min_lesion_pixels,
        settings.tta,
        rendered.summary,
        rendered.images or [{}] * subject.slices,
        steps.warnings,
        seconds,
        spatial,
        rendered.trust,
        passport=passport if settings.kind != ZIP else None,  # in a zip nobody could sign it any more
    )
    if settings.kind == ZIP and isinstance(subject, Scanned):
        with _timed(seconds, "render"):
            packed = _zip(model, subject, rendered, settings, reply.body)
        reply = picture_answer(ZIP, packed, model.card, rendered.summary)
    return Outcome(reply.with_headers(carried), "ok", rendered.summary, seconds)
