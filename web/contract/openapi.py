"""The API in OpenAPI 3.1, built from the tables of :mod:`web.contract.fields`; tests hold the running server, and the
clients that generators make of it, to it."""

from __future__ import annotations

from typing import Any

from web.contract import examples
from web.contract.explain import explain_paths
from web.contract.fields import (
    FILE_PART,
    HEADER_PREFIX,
    KINDS,
    MODEL,
    NOTICE,
    PROBLEM_KIND,
    TABLE,
    VERDICTS,
    VERSION,
    VERSION_PATTERN,
    field_header,
)
from web.contract.headers import SAFE_ID
from web.contract.jobs import HEADERS as JOB_HEADERS
from web.contract.jobs import job_paths
from web.contract.parts import (
    ANY,
    GUARDED,
    ID,
    JSON,
    RAW,
    SEGMENT_CODES,
    STICKY,
    answered,
    operation,
    problems,
)
from web.contract.schemas import BINARY, SCHEMAS, TEXT, reference
from web.contract.types import classify_paths

ABOUT = f"""Segmentation of brain tumours in MR scans. **{NOTICE}**

A scan is sent as the bytes of its file, raw or as the part `{FILE_PART}` of a form; settings go in the query. Each may
go, once, as a field of the form or as a header `{HEADER_PREFIX}…` instead (`{field_header("min_lesion_pixels")}`).

Every refusal is `{PROBLEM_KIND}` with a stable `code`. A refusal with `Retry-After` is worth another try after so many
seconds. Within version 1 keys and values are added; none changes its meaning or goes."""
TAGS = {
    "scans": "A scan in, what was found out.",
    "jobs": "A scan in, what was found fetched later.",
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
_WITH_MASK = {
    "X-BrainSeg-Model-Version": reference("ModelVersion", "headers"),
    "X-BrainSeg-Verdict": reference("Verdict", "headers"),
    "X-BrainSeg-Tumor-Pixels": reference("TumorPixels", "headers"),
    "X-BrainSeg-Passport": reference("Passport", "headers"),
}


def parameters() -> list[dict[str, Any]]:
    """Version and fields, in the query."""
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


_MODEL = {
    "name": MODEL,
    "in": "query",
    "description": "Which model to ask: brainseg, or brainseg-regions, a demonstration of several classes, where it is "
    "deployed (else model_not_found). Default: brainseg.",
    "schema": {"type": "string", "pattern": f"^{VERSION_PATTERN}$"},
    "example": "brainseg",
}


def segment_body() -> dict[str, Any]:
    """A scan."""
    return {
        "description": "JPEG, PNG, TIFF, NIfTI, DICOM or a zip of DICOM. What it is is seen from its bytes, so any "
        "other Content-Type that is no form does as well.",
        "required": True,
        "content": {RAW: {"schema": BINARY}, "multipart/form-data": {"schema": reference("Form")}},
    }


def masks() -> dict[str, Any]:
    """The other contents of an answer, by Accept."""
    return {kind: {"schema": BINARY} for kind in KINDS if kind != JSON}


def _segment() -> dict[str, Any]:
    ok = answered("Segmentation", "What was found; or, by Accept, the mask itself", examples.SEGMENTATION)
    ok["headers"] = ID | _WITH_MASK | {"X-BrainSeg-Refused": reference("Refused", "headers")}
    ok["content"] |= masks()
    return operation(
        "segment",
        "scans",
        "Segment a scan",
        {"200": ok} | problems(SEGMENT_CODES),
        about="Answers with JSON, or by `Accept` with the mask itself: `image/png` of a single slice, `image/tiff` of "
        "a stack, `application/x-nifti` and `application/dicom` of a scan with geometry, and `application/zip` with "
        "everything about it. Where the kind liked best cannot hold the slices, the next that Accept allows.",
        parameters=[_MODEL, *parameters(), STICKY],
        requestBody=segment_body(),
    )


def _models() -> dict[str, Any]:
    versions = answered("Models", "The versions", examples.MODELS)
    versions["headers"] = ID | {"ETag": reference("ETag", "headers")}
    unchanged = {"description": "Nothing has changed since the answer with this ETag", "headers": versions["headers"]}
    known = {
        "name": "If-None-Match",
        "in": "header",
        "description": "The ETag of the answer that the client has.",
        "schema": TEXT,
    }
    return operation(
        "listModels",
        "models",
        "Versions, default and model cards",
        {"200": versions, "304": unchanged} | problems((*GUARDED, "not_ready")),
        about="Which versions there are, which answers by default, what each is and since when, and its model card; "
        "beside it, the models that the field `model` of a segmentation can name.",
        parameters=[known],
    )


def _health() -> dict[str, Any]:
    ready = answered("Readiness", "Ready", examples.READY)
    not_ready = answered("Readiness", "Not ready, and why", examples.NOT_READY)
    either = answered("Readiness", "Ready or not", examples.READY)
    alive = {"200": answered("Alive", "It does", examples.ALIVE)} | problems(ANY)
    text = {"text/plain": {"schema": TEXT}}
    counted = {"200": {"description": "Prometheus' text format", "headers": ID, "content": text}}
    return {
        "/livez": {
            "get": operation(
                "checkAlive", "health", "Does the front door run?", alive, "Whether the model does is /readyz's.", True
            )
        },
        "/readyz": {
            "get": operation(
                "checkReady",
                "health",
                "Would a scan sent now be answered?",
                {"200": ready} | problems(ANY) | {"503": not_ready},
                "By the live version: each of its workers is there and has predicted rightly. Busy is not unready.",
                True,
            )
        },
        "/api/v1/status": {
            "get": operation(
                "getStatus",
                "health",
                "As /readyz, always with 200",
                {"200": either} | problems(ANY),
                "For pages, where a 503 would be an error in the browser's console.",
                True,
            )
        },
        "/metrics": {
            "get": operation(
                "getMetrics",
                "health",
                "Counters and histograms",
                counted | problems(GUARDED[:-1]),
                "For Prometheus. Needs a key where there are keys.",
            )
        },
    }


def _paths() -> dict[str, Any]:
    itself = {"description": "OpenAPI", "headers": ID, "content": {JSON: {"schema": {"type": "object"}}}}
    document = operation(
        "getDocument",
        "document",
        "This document",
        {"200": itself} | problems((*ANY, "queue_full")),
        "OpenAPI 3.1, for generators of clients.",
        True,
    )
    keys = operation(
        "listPassportKeys",
        "models",
        "Public keys of passports",
        {"200": answered("PassportKeys", "The keys", examples.PASSPORT_KEYS)}
        | problems((*ANY, "queue_full", "not_ready")),
        "By which the signed record is checked that an answer carries with passport=on; no key is needed.",
        True,
    )
    return {
        "/api/v1/segment": {"post": _segment()},
        **explain_paths([_MODEL, *parameters()], segment_body()),
        **classify_paths(parameters(), segment_body()),
        "/api/v1/models": {"get": _models()},
        "/api/v1/passport-keys": {"get": keys},
        "/api/v1/openapi.json": {"get": document},
        **job_paths([_MODEL, *parameters()], segment_body(), masks()),
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
            "headers": HEADERS | JOB_HEADERS,
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "Needed where the server has keys."}
            },
        },
    }
