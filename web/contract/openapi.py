"""The API in OpenAPI 3.1, built from the tables of :mod:`web.contract.fields`; tests hold the running server, and the
clients that generators make of it, to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from web.contract import examples
from web.contract.fields import (
    FILE_PART,
    HEADER_PREFIX,
    HTTP_PROBLEMS,
    KINDS,
    NOTICE,
    PROBLEM_KIND,
    PROBLEMS,
    TABLE,
    VERDICTS,
    VERSION,
    VERSION_PATTERN,
    field_header,
)
from web.contract.headers import SAFE_ID
from web.contract.schemas import BINARY, SCHEMAS, TEXT, reference

# What any request may meet, and what one that needs a key may meet besides.
ANY = ("bad_request", "request_timeout", "internal_error")
GUARDED = ("unauthorized", *ANY, "queue_full")
SEGMENT_CODES = (*PROBLEMS, "bad_request", "request_timeout")
JSON = "application/json"
RAW = "application/octet-stream"
ABOUT = f"""Segmentation of brain tumours in MR scans. **{NOTICE}**

A scan is sent as the bytes of its file, raw or as the part `{FILE_PART}` of a form; settings go in the query. Each may
go, once, as a field of the form or as a header `{HEADER_PREFIX}…` instead (`{field_header("min_lesion_pixels")}`).

Every refusal is `{PROBLEM_KIND}` with a stable `code`. A refusal with `Retry-After` is worth another try after so many
seconds. Within version 1 keys and values are added; none changes its meaning or goes."""
TAGS = {
    "scans": "A scan in, what was found out.",
    "models": "Which versions there are.",
    "health": "For supervisors and Prometheus.",
    "document": "This document.",
}
HEADERS: dict[str, Any] = {
    "RequestId": {
        "description": "The id of the request in the server's log: the client's own X-Request-Id where it sent one.",
        "schema": {"type": "string", "pattern": f"^{SAFE_ID.pattern}$"},
    },
    "RetryAfter": {
        "description": "Seconds after which another try is worth it; absent where none is.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "ETag": {"description": "Of this state of the answer, for If-None-Match.", "schema": TEXT},
    "ModelVersion": {"description": "With a bare mask: the version that answered.", "schema": TEXT},
    "Verdict": {"description": "With a bare mask.", "schema": {"type": "string", "enum": list(VERDICTS)}},
    "Refused": {
        "description": "Of a scan that was not assessed: why, the main reason first, with commas between.",
        "schema": TEXT,
    },
    "Passport": {"description": "With a bare mask and passport=on: the signed record, in base64.", "schema": TEXT},
    "TumorPixels": {"description": "With a bare mask.", "schema": {"type": "integer", "minimum": 0}},
}
_ID = {"X-Request-Id": reference("RequestId", "headers")}
_WITH_MASK = {
    "X-BrainSeg-Model-Version": reference("ModelVersion", "headers"),
    "X-BrainSeg-Verdict": reference("Verdict", "headers"),
    "X-BrainSeg-Tumor-Pixels": reference("TumorPixels", "headers"),
    "X-BrainSeg-Passport": reference("Passport", "headers"),
}


def _problems(codes: Sequence[str]) -> dict[str, Any]:
    """An answer for each status among ``codes``."""
    known = PROBLEMS | HTTP_PROBLEMS
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(known[code][0], []).append(code)
    return {str(status): _problem(status, found) for status, found in sorted(by_status.items())}


def _problem(status: int, codes: Sequence[str]) -> dict[str, Any]:
    known = PROBLEMS | HTTP_PROBLEMS
    later = {"Retry-After": reference("RetryAfter", "headers")} if status in (429, 503) else {}
    return {
        "description": "; ".join(f"`{code}`: {known[code][1]}" for code in codes),
        "headers": _ID | later,
        "content": {PROBLEM_KIND: {"schema": reference("Problem"), "examples": examples.problems(codes)}},
    }


def _json(name: str, about: str, example: object) -> dict[str, Any]:
    return {
        "description": about,
        "headers": _ID,
        "content": {JSON: {"schema": reference(name), "examples": {"typical": {"value": example}}}},
    }


def _parameters() -> list[dict[str, Any]]:
    version = {
        "name": VERSION,
        "in": "query",
        "description": "The model version to ask. Default: the one that is live.",
        "schema": {"type": "string", "pattern": f"^{VERSION_PATTERN}$"},
        "example": examples.VERSION,
    }
    fields = [
        {"name": field.name, "in": "query", "description": field.about, "schema": dict(field.schema)}
        | ({} if field.example is None else {"example": field.example})
        for field in TABLE
    ]
    return [version, *fields]


def _segment_body() -> dict[str, Any]:
    return {
        "description": "JPEG, PNG, TIFF, NIfTI, DICOM or a zip of DICOM. What it is is seen from its bytes, so any "
        "other Content-Type that is no form does as well.",
        "required": True,
        "content": {RAW: {"schema": BINARY}, "multipart/form-data": {"schema": reference("Form")}},
    }


def _segment() -> dict[str, Any]:
    masks: dict[str, Any] = {kind: {"schema": BINARY} for kind in KINDS if kind != JSON}
    ok = _json("Segmentation", "What was found; or, by Accept, the mask itself", examples.SEGMENTATION)
    ok["headers"] = _ID | _WITH_MASK | {"X-BrainSeg-Refused": reference("Refused", "headers")}
    ok["content"] |= masks
    return _operation(
        "segment",
        "scans",
        "Segment a scan",
        {"200": ok} | _problems(SEGMENT_CODES),
        about="Answers with JSON, or by `Accept` with the mask itself: `image/png` of a single slice, `image/tiff` of "
        "a stack, `application/x-nifti` and `application/dicom` of a scan with geometry, and `application/zip` with "
        "everything about it. Where the kind liked best cannot hold the slices, the next that Accept allows.",
        parameters=_parameters(),
        requestBody=_segment_body(),
    )


def _operation(
    identifier: str, tag: str, summary: str, responses: dict[str, Any], about: str, free: bool = False, **more: Any
) -> dict[str, Any]:
    """``free``: no key is needed."""
    operation = {"operationId": identifier, "tags": [tag], "summary": summary, "description": about, **more}
    return operation | ({"security": []} if free else {}) | {"responses": responses}


def _models() -> dict[str, Any]:
    versions = _json("Models", "The versions", examples.MODELS)
    versions["headers"] = _ID | {"ETag": reference("ETag", "headers")}
    unchanged = {"description": "Nothing has changed since the answer with this ETag", "headers": versions["headers"]}
    known = {
        "name": "If-None-Match",
        "in": "header",
        "description": "The ETag of the answer that the client has.",
        "schema": TEXT,
    }
    return _operation(
        "listModels",
        "models",
        "Versions, default and model cards",
        {"200": versions, "304": unchanged} | _problems((*GUARDED, "not_ready")),
        about="Which versions there are, which answers by default, what each is and since when, and its model card.",
        parameters=[known],
    )


def _health() -> dict[str, Any]:
    ready = _json("Readiness", "Ready", examples.READY)
    not_ready = _json("Readiness", "Not ready, and why", examples.NOT_READY)
    either = _json("Readiness", "Ready or not", examples.READY)
    alive = {"200": _json("Alive", "It does", examples.ALIVE)} | _problems(ANY)
    text = {"text/plain": {"schema": TEXT}}
    counted = {"200": {"description": "Prometheus' text format", "headers": _ID, "content": text}}
    return {
        "/livez": {
            "get": _operation(
                "checkAlive", "health", "Does the front door run?", alive, "Whether the model does is /readyz's.", True
            )
        },
        "/readyz": {
            "get": _operation(
                "checkReady",
                "health",
                "Would a scan sent now be answered?",
                {"200": ready} | _problems(ANY) | {"503": not_ready},
                "By the live version: each of its workers is there and has predicted rightly. Busy is not unready.",
                True,
            )
        },
        "/api/v1/status": {
            "get": _operation(
                "getStatus",
                "health",
                "As /readyz, always with 200",
                {"200": either} | _problems(ANY),
                "For pages, where a 503 would be an error in the browser's console.",
                True,
            )
        },
        "/metrics": {
            "get": _operation(
                "getMetrics",
                "health",
                "Counters and histograms",
                counted | _problems(GUARDED[:-1]),
                "For Prometheus. Needs a key where there are keys.",
            )
        },
    }


def _paths() -> dict[str, Any]:
    itself = {"description": "OpenAPI", "headers": _ID, "content": {JSON: {"schema": {"type": "object"}}}}
    document = _operation(
        "getDocument",
        "document",
        "This document",
        {"200": itself} | _problems((*ANY, "queue_full")),
        "OpenAPI 3.1, for generators of clients.",
        True,
    )
    keys = _operation(
        "listPassportKeys",
        "models",
        "Public keys of passports",
        {"200": _json("PassportKeys", "The keys", examples.PASSPORT_KEYS)}
        | _problems((*ANY, "queue_full", "not_ready")),
        "By which the signed record is checked that an answer carries with passport=on; no key is needed.",
        True,
    )
    return {
        "/api/v1/segment": {"post": _segment()},
        "/api/v1/models": {"get": _models()},
        "/api/v1/passport-keys": {"get": keys},
        "/api/v1/openapi.json": {"get": document},
        **_health(),
    }


def document() -> dict[str, Any]:
    """The whole document, to be given as JSON."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "BrainSeg",
            "version": "1",
            "summary": "Brain-tumour segmentation over REST",
            "description": ABOUT,
            "contact": {"name": "Whoever runs this server"},
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The front door that gave this document"}],
        "tags": [{"name": name, "description": about} for name, about in TAGS.items()],
        "security": [{}, {"key": []}],
        "paths": _paths(),
        "components": {
            "schemas": SCHEMAS,
            "headers": HEADERS,
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "Needed where the server has keys."}
            },
        },
    }
