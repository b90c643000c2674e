"""The API in OpenAPI 3.1, built from the tables of :mod:`web.contract.fields`; a test holds the running server
to it."""

from __future__ import annotations

from typing import Any

from web.contract.fields import (
    FIELDS,
    FILE_PART,
    HTTP_PROBLEMS,
    KINDS,
    NOTICE,
    OUTPUTS,
    PROBLEM_KIND,
    PROBLEMS,
    SEQUENCE_PARTS,
    field_header,
)
from web.contract.schemas import SCHEMAS, reference

ABOUT = {
    "threshold": ("probability above which a pixel is tumour, 0 < t < 1; default: the model card's", "0.5"),
    "min_lesion_pixels": ("connected components smaller than this are dropped; default: the model card's", "20"),
    "outputs": (
        f"none, or some of {', '.join(OUTPUTS)}; default: mask,overlay of a picture, none of NIfTI or DICOM",
        "mask,probability",
    ),
    "slices": ("which slices to return pictures for, a-b counted from 0; default: all", "0-0"),
    "intensity_range": ("lo,hi: the intensities mapped to 0..1; default: by sample type", "0,255"),
    "series": (
        "which series of an upload is the FLAIR, counted from 1; default: the one recognised",
        "1",
    ),
    "register": ("none or rigid: whether T1 and T1 with contrast are moved to where they agree with FLAIR", "none"),
    "seg": ("binary or labelmap: the kind of DICOM SEG; default: by the size of its frames", "binary"),
    "gate": ("on or off: whether a scan of a kind that the model does not know is refused; default: on", "on"),
}
SCANS = (
    *("application/octet-stream", "image/png", "image/jpeg", "image/tiff"),
    *("application/x-nifti", "application/dicom", "application/zip"),
)
SEGMENT_CODES = (*PROBLEMS, "bad_request", "request_timeout")
MODELS_CODES = ("bad_request", "unauthorized", "not_ready")
_BINARY = {"type": "string", "contentMediaType": "application/octet-stream"}


def _problems(codes: tuple[str, ...]) -> dict[str, Any]:
    """An answer for each status among ``codes``."""
    known = PROBLEMS | HTTP_PROBLEMS
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(known[code][0], []).append(code)
    return {
        str(status): {
            "description": "; ".join(f"`{code}`: {known[code][1]}" for code in found),
            "content": {PROBLEM_KIND: {"schema": reference("Problem")}},
        }
        for status, found in sorted(by_status.items())
    }


def _json(schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _parameters() -> list[dict[str, Any]]:
    version = {
        "name": "version",
        "in": "query",
        "description": "model version; default: the server's default",
        "schema": {"type": "string"},
    }
    text = {"type": "string"}
    fields = [
        {"name": name, "in": "query", "description": ABOUT[name][0], "schema": text, "example": ABOUT[name][1]}
        for name in FIELDS
    ]
    headers = [
        {"name": field_header(name), "in": "header", "description": f"as the query's {name}", "schema": text}
        for name in FIELDS
    ]
    return [version, *fields, *headers]


def _segment_body() -> dict[str, Any]:
    form = {
        "type": "object",
        "properties": dict.fromkeys((FILE_PART, *SEQUENCE_PARTS), _BINARY)
        | {name: {"type": "string"} for name in FIELDS},
        "anyOf": [{"required": [FILE_PART]}, {"required": [SEQUENCE_PARTS[0]]}],
        "additionalProperties": False,
    }
    raw: dict[str, Any] = {kind: {"schema": {}} for kind in SCANS}
    return {"required": True, "content": raw | {"multipart/form-data": {"schema": form}}}


def _segment() -> dict[str, Any]:
    pictures: dict[str, Any] = {kind: {"schema": {}} for kind in KINDS[1:]}
    ok = {
        "description": "Mask, measurements and pictures; or by Accept the mask itself: image/png of a single slice, "
        "image/tiff of a stack, application/x-nifti and application/dicom of a scan with geometry, and "
        "application/zip with everything about it. Where the kind "
        "liked best cannot hold the slices, the next that Accept allows.",
        "content": {"application/json": {"schema": reference("Segmentation")}} | pictures,
    }
    return {
        "summary": "Segment a scan",
        "operationId": "segment",
        "parameters": _parameters(),
        "requestBody": _segment_body(),
        "responses": {"200": ok} | _problems(SEGMENT_CODES),
    }


def _get(identifier: str, summary: str, responses: dict[str, Any], free: bool = False) -> dict[str, Any]:
    operation: dict[str, Any] = {"summary": summary, "operationId": identifier, "responses": responses}
    return {"get": operation | ({"security": []} if free else {})}


def _paths() -> dict[str, Any]:
    guarded = _problems(("bad_request", "unauthorized"))
    health = {"200": _json(reference("Readiness"), "Ready"), "503": _json(reference("Readiness"), "Not ready, and why")}
    text = {"text/plain": {"schema": {"type": "string"}}}
    exposition = {"200": {"description": "Prometheus' text format", "content": text}}
    itself = {"200": _json({"type": "object"}, "OpenAPI")}
    versions = {"200": _json(reference("Models"), "The versions")}
    free = _problems(("bad_request",))
    return {
        "/api/v1/segment": {"post": _segment()},
        "/api/v1/models": _get("models", "Versions, default and model cards", versions | _problems(MODELS_CODES)),
        "/api/v1/openapi.json": _get("openapi", "This document", itself | free, True),
        "/livez": _get("livez", "The front door runs", {"200": _json(reference("Alive"), "It does")} | free, True),
        "/readyz": _get("readyz", "A scan sent now would be answered", health | free, True),
        "/api/v1/status": _get("status", "As /readyz, always with 200", {"200": health["200"]} | free, True),
        "/metrics": _get("metrics", "Counters and histograms", exposition | guarded),
    }


def document() -> dict[str, Any]:
    """The whole document, to be given as JSON."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "BrainSeg", "version": "1", "description": f"Brain-tumour segmentation. {NOTICE}"},
        "paths": _paths(),
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"key": []}],
    }
