"""The front door's answers as frozen dataclasses. Keys they do not know are passed over, so that a newer server is no
reason to fail."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Model:
    """Which weights answered. ``digest``: ``sha256:<hex>`` of the weights."""

    name: str
    version: str
    digest: str
    architecture: str


@dataclass(frozen=True)
class Scan:
    """What the server saw. Sizes in pixels; ``sha256``: of the file as sent."""

    format: str
    width: int
    height: int
    slices: int
    sha256: str


@dataclass(frozen=True)
class Trust:
    """Whether the model knows such scans (``accepted``, ``score`` 0..1, ``reasons`` as codes) and how good the mask is
    expected to be; None where the server does not say. ``gate``: ``on``, ``off`` (overruled) or ``none``; empty of a
    slice. Intervals, of the whole scan only, hold the tumour's size with the probability ``interval_level``."""

    accepted: bool | None = None
    score: float | None = None
    reasons: tuple[str, ...] = ()
    gate: str = ""
    uncertain: bool | None = None
    expected_dice: float | None = None
    tumor_pixels_interval: tuple[int, int] | None = None
    tumor_volume_ml_interval: tuple[float, float] | None = None
    interval_level: float | None = None


@dataclass(frozen=True)
class Slice:
    """One slice. ``max_probability`` in 0..1; ``images``: PNG bytes by output name, for what was asked. The numbers are
    None where the slice was not assessed. ``labels``, ``regions``: as :class:`Segmentation` has them."""

    index: int
    tumor_pixels: int | None
    tumor_coverage_percent: float | None
    max_probability: float | None
    images: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    trust: Trust = Trust()
    labels: tuple[Mapping[str, Any], ...] | None = None
    regions: tuple[Mapping[str, Any], ...] | None = None

    @property
    def assessed(self) -> bool:
        return self.tumor_pixels is not None


@dataclass(frozen=True)
class Notice:
    """Something to know about an answer that was given all the same."""

    code: str
    detail: str


@dataclass(frozen=True)
class Segmentation:
    """The answer to one scan. ``tumor_detected``: any tumour pixel is left; pixels are counted over all slices.
    A scan that the model does not know has the verdict ``not_assessed`` and None for every number about tumour.

    Of volumes only, else None, also from servers that know none; keys as in the contract's JSON: ``lesions`` (each with
    ``volume_ml``, ``centroid_mm``, …), ``geometry`` of the grid that the mask is on, ``sequences`` (which volume was
    taken for what). ``passport``: the signed record of how the answer was made, where it was asked for; to be kept as
    JSON and checked by :func:`brainseg_client.passport.read_passport`.

    Of a model that tells parts of a tumour apart, else None: ``labels``, what the values 1, 2, ... of the mask are
    (``value``, ``name``, ``colour``, ``code``, ``pixels``, ``volume_ml``, ``max_probability``), and ``regions``, unions
    of them."""

    model: Model
    input: Scan
    threshold: float
    min_lesion_pixels: int
    verdict: str
    tumor_pixels: int | None
    total_pixels: int
    tumor_coverage_percent: float | None
    max_probability: float | None
    slices: tuple[Slice, ...]
    warnings: tuple[Notice, ...]
    timing_ms: Mapping[str, float]
    request_id: str = ""
    tumor_volume_ml: float | None = None
    lesions: tuple[Mapping[str, Any], ...] | None = None
    geometry: Mapping[str, Any] | None = None
    sequences: tuple[Mapping[str, Any], ...] | None = None
    trust: Trust = Trust(gate="none")
    passport: Mapping[str, Any] | None = field(default=None, repr=False)
    labels: tuple[Mapping[str, Any], ...] | None = None
    regions: tuple[Mapping[str, Any], ...] | None = None

    @property
    def tumor_detected(self) -> bool:
        return self.verdict == "tumor_detected"

    @property
    def assessed(self) -> bool:
        return self.verdict != "not_assessed"


@dataclass(frozen=True)
class Version:
    """A model version on the server. ``card``: the model card, None while its worker is too busy to give it."""

    version: str
    default: bool
    wanted_workers: int
    ready_workers: int
    card: Mapping[str, Any] | None = field(repr=False)


def _slice(raw: Mapping[str, Any]) -> Slice:
    images = {str(name): base64.b64decode(text) for name, text in raw["images"].items()}
    numbers = raw["tumor_pixels"], raw["tumor_coverage_percent"], raw["max_probability"]
    classes = _several(raw.get("labels")), _several(raw.get("regions"))
    return Slice(raw["index"], *numbers, images, _trust(raw.get("trust"), ""), *classes)


def _pair(raw: Sequence[Any] | None) -> tuple[Any, Any] | None:
    return None if raw is None else (raw[0], raw[1])


def _trust(raw: Mapping[str, Any] | None, gate: str) -> Trust:
    """``raw``: None from servers that say nothing of it; ``gate`` where it names none."""
    raw = raw or {}
    return Trust(
        raw.get("accepted"),
        raw.get("score"),
        tuple(raw.get("reasons", ())),
        raw.get("gate", gate),
        raw.get("uncertain"),
        raw.get("expected_dice"),
        _pair(raw.get("tumor_pixels_interval")),
        _pair(raw.get("tumor_volume_ml_interval")),
        raw.get("interval_level"),
    )


def _several(raw: Sequence[Mapping[str, Any]] | None) -> tuple[Mapping[str, Any], ...] | None:
    return None if raw is None else tuple(raw)


def segmentation(raw: Mapping[str, Any], request_id: str = "") -> Segmentation:
    """From the contract's JSON. Raises ``KeyError``, ``TypeError`` or ``ValueError`` for something else."""
    model, scan = raw["model"], raw["input"]
    return Segmentation(
        Model(model["name"], model["version"], model["digest"], model["architecture"]),
        Scan(scan["format"], scan["width"], scan["height"], scan["slices"], scan["sha256"]),
        raw["threshold"],
        raw["min_lesion_pixels"],
        raw["verdict"],
        raw["tumor_pixels"],
        raw["total_pixels"],
        raw["tumor_coverage_percent"],
        raw["max_probability"],
        tuple(_slice(one) for one in raw["slices"]),
        tuple(Notice(one["code"], one["detail"]) for one in raw["warnings"]),
        raw["timing_ms"],
        request_id,
        raw.get("tumor_volume_ml"),
        _several(raw.get("lesions")),
        scan.get("geometry"),
        _several(raw.get("sequences")),
        _trust(raw.get("trust"), "none"),
        raw.get("passport"),
        _several(raw.get("labels")),
        _several(raw.get("regions")),
    )


def versions(raw: Mapping[str, Any], model: str | None = None) -> tuple[Version, ...]:
    """From the JSON of ``GET /api/v1/models``: those of ``model``, None for the segmentation itself; none of a model
    that is not there. Raises as :func:`segmentation`."""
    if model is not None and model != raw.get("name"):
        raw = next((one for one in raw.get("beside", ()) if one["name"] == model), {"versions": ()})
    return tuple(
        Version(one["version"], one["default"], one["workers"]["wanted"], one["workers"]["ready"], one["card"])
        for one in raw["versions"]
    )
