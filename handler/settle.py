"""What is asked of a scan that has been read: the fields with the card's defaults, and what cannot be answered, refused
before the network runs; and, when the gate has spoken, the mask of what is not assessed."""

from __future__ import annotations

from dataclasses import dataclass

from handler import render
from handler.accept import GEOMETRIC
from handler.answer import refused_headers
from handler.card import ModelCard
from handler.drift import counted_refused
from handler.errors import RequestError
from handler.fields import DEFAULT_OUTPUTS
from handler.limits import Limits
from handler.request import Request
from handler.subject import Subject
from handler.trust.report import ON, Trust
from handler.volumes.subject import ZIP


@dataclass(frozen=True)
class Settings:
    """The fields of a request with the card's defaults filled in. ``kind`` of answer: one of
    :data:`handler.accept.KINDS`. ``first``/``last``: slices to draw, inclusive. ``seg``: the kind of a DICOM SEG, None
    for the one that its size asks for. ``tta``: one of :data:`handler.fields.TTA`.
    ``colours``: of the card's labels."""

    threshold: float
    min_lesion_pixels: int
    kind: str
    outputs: tuple[str, ...]
    first: int
    last: int
    seg: str | None = None
    gate: str = ON
    tta: str = "none"
    colours: tuple[render.Colour, ...] = ()


def _drawn_slices(wanted: tuple[int, int] | None, slices: int) -> tuple[int, int]:
    if wanted is None:
        return 0, slices - 1
    if wanted[1] >= slices:
        raise RequestError(
            "invalid_parameter", f"Field slices asks for slice {wanted[1]}; the scan has 0 to {slices - 1}."
        )
    return wanted


def _kind(accept: tuple[str, ...], slices: int, subject: Subject) -> str:
    """What the client likes best of what can hold ``slices`` slices of ``subject``."""
    for kind in accept:
        if (kind != "image/png" or slices == 1) and (kind not in GEOMETRIC or kind in subject.kinds):
            return kind
    if accept[0] in GEOMETRIC:
        others = ", ".join(("application/json", "image/tiff", *subject.kinds))
        raise RequestError(
            "not_acceptable", f"No {accept[0]} can be made of a scan that came as {subject.format}; accept {others}."
        )
    raise RequestError(
        "not_acceptable", f"A PNG holds one slice and {slices} are asked for; accept image/tiff or give slices."
    )


def _in_zip(outputs: tuple[str, ...] | None) -> tuple[str, ...]:
    """What goes into the zip beside what is always in it. Raises ``invalid_parameter`` for pictures."""
    if others := sorted(set(outputs or ()) - {"scan", "mask"}):
        raise RequestError(
            "invalid_parameter",
            f"Field outputs asks for {', '.join(others)}; in a zip the mask is NIfTI, scan adds the FLAIR. Accept "
            "application/json for pictures.",
        )
    return tuple(outputs or ())


def _maps(outputs: tuple[str, ...], card: ModelCard) -> int:
    """How many pictures the probabilities by label take, one below the other. Raises ``not_acceptable`` where they
    are asked of a model without labels."""
    if render.BY_LABEL not in outputs:
        return 0
    if card.labelling is None:
        raise RequestError(
            "not_acceptable",
            f"Field outputs asks for {render.BY_LABEL}; model {card.version} marks tumour alone, whose output is "
            "probability.",
        )
    return len(card.labelling.labels)


def settle(request: Request, subject: Subject, card: ModelCard, limits: Limits) -> Settings:
    """Settings for ``subject``; refuses here what cannot be answered, before the network runs.

    Raises ``invalid_parameter`` (slices outside the stack), ``not_acceptable`` (a PNG of several slices, a format with
    geometry for a picture, labels of a model that has none), ``response_too_large``."""
    fields = request.fields
    first, last = _drawn_slices(fields.slices, subject.slices)
    kind = _kind(request.accept, last - first + 1, subject)
    subject.check(kind)
    outputs = fields.outputs
    if outputs is None:
        outputs = () if request.geometric else DEFAULT_OUTPUTS
    if kind == ZIP:
        outputs = _in_zip(fields.outputs)
    elif kind != "application/json":
        outputs = ("mask",)
    if kind != ZIP:
        drawn = (*outputs, *[render.BY_LABEL] * (_maps(outputs, card) - 1))
        render.check_answer_size(subject.width * subject.height, last - first + 1, drawn, limits)
    return Settings(
        card.threshold if fields.threshold is None else fields.threshold,
        card.min_lesion_pixels if fields.min_lesion_pixels is None else fields.min_lesion_pixels,
        kind,
        outputs,
        first,
        last,
        fields.seg.upper() if fields.seg else None,
        fields.gate,
        fields.tta,
        tuple(label.colour for label in card.labelling.labels) if card.labelling else (),
    )


def check_assessed(trust: Trust, settings: Settings, version: str) -> None:
    """Raises ``not_assessed`` where the answer would be the mask of a scan, or of slices of it alone, that gets none:
    an empty one would say that nothing was found. ``version``: of the model, for whose drift the slices count."""
    if settings.kind == "application/json":
        return
    if trust.refused:
        raise RequestError(
            "not_assessed",
            f"The scan is not of the kind that the model knows ({', '.join(trust.scan.reasons)}), so no mask is given. "
            "Accept application/json for what is known about it, or send gate=off for a mask all the same.",
            refused_headers(trust) | counted_refused(version, trust, range(len(trust.slices))),
        )
    wanted = range(settings.first, settings.last + 1)
    if settings.kind not in GEOMETRIC and not any(map(trust.assessed, wanted)):
        raise RequestError(
            "not_assessed",
            f"The scan is known to the model but not its slices {settings.first}-{settings.last} "
            f"({', '.join(trust.slices[settings.first].reasons)}), so no mask of them is given. Accept "
            "application/json for what is known about them, or send gate=off for a mask all the same.",
            counted_refused(version, trust, wanted),
        )
