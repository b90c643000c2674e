"""JSON schemas of the answers. Every key of the contract is required: unknown is null, never absent."""

from __future__ import annotations

from typing import Any

from web.contract.fields import HTTP_PROBLEMS, NOTICE, OUTPUTS, PROBLEMS, REASONS
from web.health.standing import ROLES

TEXT: dict[str, Any] = {"type": "string"}
COUNT: dict[str, Any] = {"type": "integer", "minimum": 0}
PROBABILITY: dict[str, Any] = {"type": "number", "minimum": 0, "maximum": 1}
PERCENT: dict[str, Any] = {"type": "number", "minimum": 0, "maximum": 100}


def reference(name: str) -> dict[str, Any]:
    """A reference to one of :data:`SCHEMAS`."""
    return {"$ref": f"#/components/schemas/{name}"}


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


_MODEL = _object(
    name=TEXT, version=TEXT, digest={"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}, architecture=TEXT
)
_NUMBER: dict[str, Any] = {"type": "number"}
_SIZE = {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 3, "maxItems": 3}
_MILLIMETRES = {"type": "array", "items": _NUMBER, "minItems": 3, "maxItems": 3}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


_GEOMETRY = _object(
    size=_SIZE,
    spacing_mm=_MILLIMETRES,
    affine_ras=_list(_list(_NUMBER)),
    orientation=TEXT,
    source={"enum": ["dicom", "sform", "qform", "pixdim"]},
)
_LESION = _object(
    voxels=COUNT,
    volume_ml=_NUMBER,
    centroid_mm=_MILLIMETRES,
    longest_mm=_NUMBER,
    longest_on=_object(mm=_NUMBER, slice=COUNT, start=_list(COUNT), end=_list(COUNT)),
    slices=_list(COUNT),
)
_SEQUENCE = _object(
    channel={"enum": ["flair", "t1", "t1c"]},
    recognised=TEXT,
    reason=TEXT,
    series=_or_null(COUNT),
    format=_or_null({"enum": ["nifti", "dicom"]}),
    sha256=_or_null(TEXT),
    size=_or_null(_SIZE),
    spacing_mm=_or_null(_MILLIMETRES),
    resampled=_or_null({"enum": ["same_grid", "turned", "trilinear"]}),
    covered_percent=_or_null(PERCENT),
    registered=_or_null(_object(shift_mm=_NUMBER, turn_degrees=_NUMBER)),
    intensity=_or_null(_object(mapping=TEXT, low=_NUMBER, high=_NUMBER, target=PROBABILITY)),
)
_INPUT = _object(
    format={"enum": ["jpeg", "png", "tiff", "nifti", "dicom"]},
    width=COUNT,
    height=COUNT,
    slices=COUNT,
    sha256={"type": "string", "pattern": "^[0-9a-f]{64}$"},
    geometry=_or_null(_GEOMETRY),
)
_PNG = {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/png"}
_IMAGES = {"type": "object", "properties": dict.fromkeys(OUTPUTS, _PNG), "additionalProperties": False}
_JUDGED = {
    "accepted": {"type": ["boolean", "null"]},
    "score": _or_null(PROBABILITY),
    "reasons": _list({"enum": list(REASONS)}),
}
_DOUBT = {"uncertain": {"type": ["boolean", "null"]}, "expected_dice": _or_null(PROBABILITY)}
_TRUST = _object(
    **_JUDGED,
    gate={"enum": ["on", "off", "none"]},
    **_DOUBT,
    tumor_pixels_interval=_or_null({"type": "array", "items": COUNT, "minItems": 2, "maxItems": 2}),
    tumor_volume_ml_interval=_or_null({"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2}),
    interval_level=_or_null(PROBABILITY),
)
_SLICE = _object(
    index=COUNT,
    tumor_pixels=_or_null(COUNT),
    tumor_coverage_percent=_or_null(PERCENT),
    max_probability=_or_null(PROBABILITY),
    trust=_object(**_JUDGED, **_DOUBT),
    sop_instance_uid=_or_null(TEXT),
    images=_IMAGES,
)

SCHEMAS: dict[str, Any] = {
    "Segmentation": _object(
        model=_MODEL,
        input=_INPUT,
        threshold=PROBABILITY,
        min_lesion_pixels=COUNT,
        verdict={"enum": ["tumor_detected", "no_tumor_detected", "not_assessed"]},
        tumor_pixels=_or_null(COUNT),
        total_pixels=COUNT,
        tumor_coverage_percent=_or_null(PERCENT),
        max_probability=_or_null(PROBABILITY),
        trust=_TRUST,
        tumor_volume_ml=_or_null(_NUMBER),
        lesion_count=_or_null(COUNT),
        lesion_connectivity=_or_null({"const": 26}),
        lesions=_or_null(_list(_LESION)),
        sequences=_or_null(_list(_SEQUENCE)),
        slices=_list(_SLICE),
        warnings=_list(_object(code=TEXT, detail=TEXT)),
        timing_ms={"type": "object", "additionalProperties": {"type": "number", "minimum": 0}},
        notice={"const": NOTICE},
    ),
    "Problem": _object(
        type=TEXT,
        title=TEXT,
        status={"type": "integer", "minimum": 400, "maximum": 599},
        detail=TEXT,
        code={"enum": [*PROBLEMS, *HTTP_PROBLEMS]},
    ),
    "Models": _object(
        name=TEXT,
        default=TEXT,
        versions=_list(
            _object(
                version=TEXT,
                default={"type": "boolean"},
                role={"enum": list(ROLES)},
                since={"type": ["string", "null"]},
                workers=_object(wanted=COUNT, ready=COUNT),
                card={"type": ["object", "null"]},
            )
        ),
    ),
    "Readiness": _object(status={"enum": ["ready", "not_ready"]}, reasons=_list(TEXT), degraded=_list(TEXT)),
    "Alive": _object(status={"const": "alive"}),
}
