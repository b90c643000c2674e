"""JSON schemas of the answers. Every key of the contract is required: unknown is null, never absent."""

from __future__ import annotations

from typing import Any

from web.contract.fields import HTTP_PROBLEMS, NOTICE, OUTPUTS, PROBLEMS
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
_INPUT = _object(
    format={"enum": ["jpeg", "png", "tiff"]},
    width=COUNT,
    height=COUNT,
    slices=COUNT,
    sha256={"type": "string", "pattern": "^[0-9a-f]{64}$"},
)
_PNG = {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/png"}
_IMAGES = {"type": "object", "properties": dict.fromkeys(OUTPUTS, _PNG), "additionalProperties": False}
_SLICE = _object(
    index=COUNT, tumor_pixels=COUNT, tumor_coverage_percent=PERCENT, max_probability=PROBABILITY, images=_IMAGES
)

SCHEMAS: dict[str, Any] = {
    "Segmentation": _object(
        model=_MODEL,
        input=_INPUT,
        threshold=PROBABILITY,
        min_lesion_pixels=COUNT,
        verdict={"enum": ["tumor_detected", "no_tumor_detected"]},
        tumor_pixels=COUNT,
        total_pixels=COUNT,
        tumor_coverage_percent=PERCENT,
        max_probability=PROBABILITY,
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
    "Readiness": _object(status={"enum": ["ready", "not_ready"]}, reasons=_list(TEXT)),
    "Alive": _object(status={"const": "alive"}),
}
