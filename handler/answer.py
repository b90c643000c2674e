"""The answers of the contract: JSON with pictures, a bare mask, or a problem."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from handler.card import ModelCard
from handler.errors import RequestError
from handler.measure import SliceMeasurement
from handler.scan import Warn
from handler.volumes.grid import Grid
from handler.volumes.lesions import Lesions

NOTICE = "Research use only. Not a medical device."
TUMOR, NO_TUMOR = "tumor_detected", "no_tumor_detected"


@dataclass(frozen=True)
class Answer:
    """``headers`` beside Content-Type; names and values are ASCII."""

    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Summary:
    """Measurements over all slices of a scan."""

    slices: tuple[SliceMeasurement, ...]

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


def _probability(value: float) -> float:
    return round(value, 5)


def _slice(found: SliceMeasurement, images: Mapping[str, bytes], instance: str | None) -> dict[str, Any]:
    return {
        "index": found.index,
        "tumor_pixels": found.tumor_pixels,
        "tumor_coverage_percent": _percent(found.coverage_percent),
        "max_probability": _probability(found.max_probability),
        "sop_instance_uid": instance,
        "images": {name: base64.b64encode(picture).decode("ascii") for name, picture in images.items()},
    }


def json_answer(
    card: ModelCard,
    scan: Measured,
    threshold: float,
    min_lesion_pixels: int,
    summary: Summary,
    images: Sequence[Mapping[str, bytes]],
    warnings: Sequence[Warn],
    seconds: Mapping[str, float],
    spatial: Spatial | None = None,
) -> Answer:
    """``images``: PNG bytes by output name, one mapping a slice (empty where no pictures were asked for). ``spatial``:
    None for a picture."""
    instances = spatial.instances if spatial else [None] * scan.slices
    measured = FLAT if spatial is None else {**spatial.lesions.as_json(), "sequences": list(spatial.sequences)}
    body = {
        "model": {
            "name": card.name,
            "version": card.version,
            "digest": card.weights.sha256,
            "architecture": card.architecture.label,
        },
        "input": {
            "format": scan.format,
            "width": scan.width,
            "height": scan.height,
            "slices": scan.slices,
            "sha256": scan.sha256,
            "geometry": spatial.geometry() if spatial else None,
        },
        "threshold": threshold,
        "min_lesion_pixels": min_lesion_pixels,
        "verdict": summary.verdict,
        "tumor_pixels": summary.tumor_pixels,
        "total_pixels": summary.total_pixels,
        "tumor_coverage_percent": _percent(summary.coverage_percent),
        "max_probability": _probability(max(s.max_probability for s in summary.slices)),
        **measured,
        "slices": [_slice(*entry) for entry in zip(summary.slices, images, instances, strict=True)],
        "warnings": [{"code": w.code, "detail": w.detail} for w in warnings],
        "timing_ms": {stage: round(1000 * spent, 2) for stage, spent in seconds.items()},
        "notice": NOTICE,
    }
    return Answer(200, "application/json", json.dumps(body, allow_nan=False).encode())


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
    return Answer(error.problem.status, "application/problem+json", json.dumps(error.body()).encode())
