"""The answers of the contract: JSON with pictures, a bare mask, or a problem."""

from __future__ import annotations

import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from handler.by_class import by_class, by_class_of_slice, probability
from handler.card import ModelCard
from handler.errors import RequestError
from handler.measure import SliceMeasurement
from handler.scan import Warn
from handler.trust.report import Trust, ungated
from handler.volumes.grid import Grid
from handler.volumes.lesions import Lesions

NOTICE = "Research use only. Not a medical device."
TUMOR, NO_TUMOR, NOT_ASSESSED = "tumor_detected", "no_tumor_detected", "not_assessed"
REFUSED_HEADER = "X-BrainSeg-Refused"  # why, the main reason first: counted without reading the answer


@dataclass(frozen=True)
class Answer:
    """``headers`` beside Content-Type; names and values are ASCII."""

    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def with_headers(self, more: Mapping[str, str]) -> Answer:
        """A copy with ``more`` headers."""
        return replace(self, headers={**self.headers, **more})


@dataclass(frozen=True)
class Summary:
    """Measurements over all slices of a scan. ``assessed``: False where they are worth nothing, as of a scan that the
    model does not know."""

    slices: tuple[SliceMeasurement, ...]
    assessed: bool = True

    @property
    def tumor_pixels(self) -> int:
        return sum(s.tumor_pixels for s in self.slices)

    @property
    def total_pixels(self) -> int:
        return sum(s.total_pixels for s in self.slices)

    @property
    def coverage_percent(self) -> float:
        return 100.0 * self.tumor_pixels / self.total_pixels

    @property
    def verdict(self) -> str:
        if not self.assessed:
            return NOT_ASSESSED
        return TUMOR if self.tumor_pixels else NO_TUMOR


class Measured(Protocol):
    """What was measured: a scan's format, size and digest."""

    @property
    def format(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def slices(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...


@dataclass(frozen=True, eq=False)
class Spatial:
    """What only a scan with geometry has. ``grid``: that the mask is on. ``sequences``: as the answer has them.
    ``instances``: a slice's SOP Instance UID, None where it came from no DICOM object, one entry a slice."""

    grid: Grid
    lesions: Lesions
    sequences: Sequence[Mapping[str, Any]]
    instances: Sequence[str | None]

    def geometry(self) -> dict[str, Any]:
        grid = self.grid
        return {
            "size": list(grid.size),
            "spacing_mm": [round(mm, 6) for mm in grid.spacing_mm],
            "affine_ras": [[round(float(number), 6) for number in row] for row in grid.affine_ras],
            "orientation": grid.orientation,
            "source": grid.source,
        }


# What stands for it in the answer about a picture; the names are those of :meth:`handler.volumes.lesions.Lesions`.
FLAT = dict.fromkeys(("tumor_volume_ml", "lesion_count", "lesion_connectivity", "lesions", "sequences"))


def _percent(value: float) -> float:
    return round(value, 3)


def _numbers(found: SliceMeasurement, assessed: bool) -> dict[str, Any]:
    if not assessed:
        return {"tumor_pixels": None, "tumor_coverage_percent": None, "max_probability": None}
    return {
        "tumor_pixels": found.tumor_pixels,
        "tumor_coverage_percent": _percent(found.coverage_percent),
        "max_probability": probability(found.max_probability),
    }


def _slice(
    card: ModelCard, found: SliceMeasurement, images: Mapping[str, bytes], instance: str | None, trust: Trust
) -> list[bytes]:
    assessed = trust.assessed(found.index)
    measured = {
        "index": found.index,
        **_numbers(found, assessed),
        **by_class_of_slice(card, found, assessed),
        "trust": trust.slice_json(found.index),
        "sop_instance_uid": instance,
    }
    pictures: list[bytes] = []
    for name, picture in images.items():
        before = b', "' if pictures else b'"'
        pictures += [before, name.encode(), b'": "', binascii.b2a_base64(picture, newline=False), b'"']
    return [_text(measured)[:-1], b', "images": {', *pictures, b"}}"]


def _text(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, allow_nan=False).encode()


def figures(summary: Summary) -> dict[str, Any]:
    """What was found in all, as the answer says it; null where nothing was assessed."""
    return {
        "verdict": summary.verdict,
        "tumor_pixels": summary.tumor_pixels if summary.assessed else None,
        "total_pixels": summary.total_pixels,
        "tumor_coverage_percent": _percent(summary.coverage_percent) if summary.assessed else None,
        "max_probability": probability(max(s.max_probability for s in summary.slices)) if summary.assessed else None,
    }


def model_json(card: ModelCard) -> dict[str, Any]:
    """Of any answer: which model it is of."""
    return {
        "name": card.name,
        "version": card.version,
        "digest": card.weights.sha256,
        "architecture": card.architecture.label,
    }


def input_json(scan: Measured) -> dict[str, Any]:
    """Of any answer: which scan it is about."""
    return {
        "format": scan.format,
        "width": scan.width,
        "height": scan.height,
        "slices": scan.slices,
        "sha256": scan.sha256,
    }


def json_answer(
    card: ModelCard,
    scan: Measured,
    threshold: float,
    min_lesion_pixels: int,
    tta: str,
    summary: Summary,
    images: Sequence[Mapping[str, bytes]],
    warnings: Sequence[Warn],
    seconds: Mapping[str, float],
    spatial: Spatial | None = None,
    trust: Trust | None = None,
    passport: Mapping[str, Any] | None = None,
) -> Answer:
    """``images``: PNG bytes by output name, one mapping a slice (empty where no pictures were asked for). ``spatial``:
    None for a picture. ``trust``: None for a model without a gate. ``passport``: its envelope, None where nobody asked.
    Numbers about tumour are null where nothing was assessed, ``labels`` and ``regions`` where the card has none."""
    trust = trust or ungated(scan.slices)
    instances = spatial.instances if spatial else [None] * scan.slices
    measured: dict[str, Any] = dict(FLAT)
    if spatial is not None:
        lesions = spatial.lesions.as_json() if summary.assessed else {}
        measured |= {**lesions, "sequences": list(spatial.sequences)}
    before = {
        "model": model_json(card),
        "input": {**input_json(scan), "geometry": spatial.geometry() if spatial else None},
        "threshold": threshold,
        "min_lesion_pixels": min_lesion_pixels,
        "tta": tta,
        **figures(summary),
        **by_class(card, summary.slices, summary.assessed, spatial.grid.voxel_ml if spatial else None),
        "trust": trust.as_json(),
        **measured,
    }
    after = {
        "warnings": [{"code": w.code, "detail": w.detail} for w in warnings],
        "timing_ms": {stage: round(1000 * spent, 2) for stage, spent in seconds.items()},
        "passport": passport,
        "notice": NOTICE,
    }
    # The pictures are most of it: they are put where they belong as bytes, without a way through text and its escapes.
    slices = [_slice(card, *entry, trust) for entry in zip(summary.slices, images, instances, strict=True)]
    parts = [_text(before)[:-1], b', "slices": [', *slices[0]]
    for one in slices[1:]:
        parts += [b", ", *one]
    return Answer(200, "application/json", b"".join([*parts, b"], ", _text(after)[1:]]), refused_headers(trust))


def refused_headers(trust: Trust) -> dict[str, str]:
    """For an answer about a scan that gets no mask; empty for any other."""
    return {REFUSED_HEADER: ",".join(trust.scan.reasons)} if trust.refused else {}


def picture_answer(kind: str, picture: bytes, card: ModelCard, summary: Summary) -> Answer:
    """A bare mask; the essential measurements and the notice travel in headers."""
    headers = {
        "X-BrainSeg-Model-Version": card.version,
        "X-BrainSeg-Verdict": summary.verdict,
        "X-BrainSeg-Tumor-Pixels": str(summary.tumor_pixels),
        "X-BrainSeg-Notice": NOTICE,
    }
    return Answer(200, kind, picture, headers)


def problem_answer(error: RequestError) -> Answer:
    """A refusal as RFC 9457 has it."""
    return Answer(error.problem.status, "application/problem+json", json.dumps(error.body()).encode(), error.headers)
