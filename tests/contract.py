"""The REST contract of design.md as JSON schemas and checks, for whatever answers: core, worker or front door."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator

OUTPUTS = ("scan", "mask", "overlay", "heatmap", "panel", "probability")
STAGES = ("decode", "preprocess", "inference", "render")
NOTICE = "Research use only. Not a medical device."
# code -> HTTP status
CODES = {
    "empty_body": 400,
    "no_image": 400,
    "invalid_parameter": 400,
    "unauthorized": 401,
    "model_not_found": 404,
    "not_acceptable": 406,
    "too_large": 413,
    "response_too_large": 413,
    "unsupported_format": 415,
    "corrupt_image": 422,
    "unsupported_shape": 422,
    "inconsistent_series": 422,
    "geometry_mismatch": 422,
    "several_series": 422,
    "not_mr": 422,
    "rate_limited": 429,
    "worker_lost": 502,
    "queue_full": 503,
    "not_ready": 503,
    "timeout": 504,
}
WARNINGS = (
    "files_skipped",
    "looks_otherwise",
    "missing_sequence",
    "no_frame_of_reference",
    "no_orientation",
    "not_axial",
    "not_finite_voxels",
    "not_registered",
    "objects_skipped",
    "other_frame_of_reference",
    "partly_covered",
    "several_candidates",
    "sheared",
    "single_slice",
    "taken_for_flair",
    "transforms_differ",
    "alpha_dropped",
    "channels_unclear",
    "grey_input",
    "low_dynamic_range",
    "out_of_range",
    "range_tags_ignored",
)

COUNT = {"type": "integer", "minimum": 0}
PROBABILITY = {"type": "number", "minimum": 0, "maximum": 1}
PERCENT = {"type": "number", "minimum": 0, "maximum": 100}
HEX_DIGEST = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
TEXT = {"type": "string", "minLength": 1}


def _exactly(properties: dict[str, Any]) -> dict[str, Any]:
    """An object with all of ``properties`` and no others: a key is never absent."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _listed(items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "array", "items": items, **more}


PICTURE = {"type": "string", "contentEncoding": "base64", "pattern": "^[A-Za-z0-9+/]+={0,2}$"}
NUMBER = {"type": "number"}
SIZE = _listed({"type": "integer", "minimum": 1}, minItems=3, maxItems=3)
POINT = _listed(NUMBER, minItems=3, maxItems=3)


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


GEOMETRY = _exactly(
    {
        "size": SIZE,
        "spacing_mm": POINT,
        "affine_ras": _listed(_listed(NUMBER, minItems=4, maxItems=4), minItems=4, maxItems=4),
        "orientation": {"type": "string", "pattern": "^[RLAPSI]{3}$"},
        "source": {"enum": ["dicom", "sform", "qform", "pixdim"]},
    }
)
ENDS = _listed(COUNT, minItems=2, maxItems=2)
LESION = _exactly(
    {
        "voxels": {"type": "integer", "minimum": 1},
        "volume_ml": {"type": "number", "minimum": 0},
        "centroid_mm": POINT,
        "longest_mm": {"type": "number", "minimum": 0},
        "longest_on": _exactly({"mm": NUMBER, "slice": COUNT, "start": ENDS, "end": ENDS}),
        "slices": ENDS,
    }
)
SEQUENCE = _exactly(
    {
        "channel": {"enum": ["flair", "t1", "t1c"]},
        "recognised": {"enum": ["inversion_time", "times", "contrast", "description", "named", "only_one", "missing"]},
        "reason": TEXT,
        "series": _or_null({"type": "integer", "minimum": 1}),
        "format": {"enum": ["nifti", "dicom", None]},
        "sha256": _or_null(HEX_DIGEST),
        "size": _or_null(SIZE),
        "spacing_mm": _or_null(POINT),
        "resampled": {"enum": ["same_grid", "turned", "trilinear", None]},
        "covered_percent": _or_null(PERCENT),
        "registered": _or_null(_exactly({"shift_mm": NUMBER, "turn_degrees": NUMBER})),
        "intensity": _or_null(_exactly({"mapping": TEXT, "low": NUMBER, "high": NUMBER, "target": PROBABILITY})),
    }
)
SLICE = _exactly(
    {
        "index": COUNT,
        "tumor_pixels": COUNT,
        "tumor_coverage_percent": PERCENT,
        "max_probability": PROBABILITY,
        "sop_instance_uid": _or_null({"type": "string", "pattern": "^[0-9.]{1,64}$"}),
        "images": {
            "type": "object",
            "properties": dict.fromkeys(OUTPUTS, PICTURE),
            "additionalProperties": False,
        },
    }
)
ANSWER = _exactly(
    {
        "model": _exactly(
            {
                "name": TEXT,
                "version": TEXT,
                "digest": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
                "architecture": TEXT,
            }
        ),
        "input": _exactly(
            {
                "format": {"enum": ["jpeg", "png", "tiff", "nifti", "dicom"]},
                "width": {"type": "integer", "minimum": 1, "maximum": 4096},
                "height": {"type": "integer", "minimum": 1, "maximum": 4096},
                "slices": {"type": "integer", "minimum": 1, "maximum": 4096},
                "sha256": HEX_DIGEST,
                "geometry": _or_null(GEOMETRY),
            }
        ),
        "threshold": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        "min_lesion_pixels": COUNT,
        "verdict": {"enum": ["tumor_detected", "no_tumor_detected"]},
        "tumor_pixels": COUNT,
        "total_pixels": {"type": "integer", "minimum": 1},
        "tumor_coverage_percent": PERCENT,
        "max_probability": PROBABILITY,
        "tumor_volume_ml": _or_null({"type": "number", "minimum": 0}),
        "lesion_count": _or_null(COUNT),
        "lesion_connectivity": {"enum": [26, None]},
        "lesions": _or_null(_listed(LESION)),
        "sequences": _or_null(_listed(SEQUENCE, minItems=3, maxItems=3)),
        "slices": _listed(SLICE, minItems=1, maxItems=4096),
        "warnings": _listed(_exactly({"code": {"enum": list(WARNINGS)}, "detail": TEXT})),
        "timing_ms": _exactly({stage: {"type": "number", "minimum": 0} for stage in STAGES}),
        "notice": {"const": NOTICE},
    }
)
PROBLEM = {
    "type": "object",
    "properties": {
        "type": TEXT,
        "title": TEXT,
        "status": {"type": "integer"},
        "detail": TEXT,
        "code": {"enum": list(CODES)},
    },
    "required": ["type", "title", "status", "detail", "code"],
}


def _strict(text: bytes | str) -> Any:
    """JSON without the NaN and Infinity that Python would let through."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} in a JSON answer")

    return json.loads(text, parse_constant=refuse)


def _check_geometry(answer: Mapping[str, Any]) -> None:
    """All of what geometry gives, or none of it; a picture has the contract's limits."""
    seen, lesions = answer["input"], answer["lesions"]
    spatial = [seen["geometry"], lesions, *(answer[name] for name in ("tumor_volume_ml", "lesion_count", "sequences"))]
    if seen["format"] not in ("nifti", "dicom"):
        assert spatial == [None] * len(spatial)
        assert min(seen["width"], seen["height"]) >= 16
        assert seen["slices"] <= 200
        return
    assert None not in spatial
    assert seen["geometry"]["size"] == [seen["width"], seen["height"], seen["slices"]]
    assert sum(lesion["voxels"] for lesion in lesions) == answer["tumor_pixels"]
    assert len(lesions) == answer["lesion_count"]
    flair = next(entry for entry in answer["sequences"] if entry["channel"] == "flair")
    assert (flair["resampled"], flair["sha256"]) == ("same_grid", seen["sha256"])


def check_answer(body: bytes | str) -> dict[str, Any]:
    """The parsed answer, after asserting that it is one of the contract and that its numbers agree."""
    answer = _strict(body)
    Draft202012Validator(ANSWER).validate(answer)
    slices, pixels = answer["slices"], answer["input"]["width"] * answer["input"]["height"]
    assert [s["index"] for s in slices] == list(range(answer["input"]["slices"]))
    assert answer["total_pixels"] == pixels * len(slices)
    assert answer["tumor_pixels"] == sum(s["tumor_pixels"] for s in slices)
    assert answer["max_probability"] == max(s["max_probability"] for s in slices)
    assert abs(answer["tumor_coverage_percent"] - 100 * answer["tumor_pixels"] / answer["total_pixels"]) <= 0.0006
    assert (answer["verdict"] == "tumor_detected") == (answer["tumor_pixels"] > 0)
    _check_geometry(answer)
    return answer


def check_problem(status: int, content_type: str, body: bytes | str, code: str | None = None) -> dict[str, Any]:
    """The parsed problem, after asserting that it is one of the contract, and ``code`` where that is given."""
    assert content_type.split(";")[0] == "application/problem+json", content_type
    problem = _strict(body)
    Draft202012Validator(PROBLEM).validate(problem)
    assert problem["status"] == status == CODES[problem["code"]], (status, problem)
    assert code is None or problem["code"] == code, problem
    return problem


def picture(answer: Mapping[str, Any], output: str, index: int = 0) -> bytes:
    """The PNG of ``output`` of slice ``index``."""
    return base64.b64decode(answer["slices"][index]["images"][output], validate=True)
