"""The REST contract of design.md as JSON schemas and checks, for whatever answers: core, worker or front door."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator

OUTPUTS = ("scan", "mask", "overlay", "heatmap", "panel", "probability", "label_probabilities")
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
    "not_assessed": 422,
    "nothing_to_explain": 422,
    "rate_limited": 429,
    "explain_unavailable": 501,
    "worker_lost": 502,
    "queue_full": 503,
    "not_ready": 503,
    "out_of_memory": 503,
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
    "no_neighbours",
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
REASONS = (
    "not_a_brain",
    "nearly_black",
    "saturated",
    "other_plane",
    "other_contrast",
    "upside_down",
    "cropped_head",
    "other_scale",
)
JUDGED = {
    "accepted": {"enum": [True, False, None]},
    "score": _or_null(PROBABILITY),
    "reasons": _listed({"enum": list(REASONS)}, uniqueItems=True),
}
DOUBT = {"uncertain": {"enum": [True, False, None]}, "expected_dice": _or_null(PROBABILITY)}
TRUST = _exactly(
    {
        **JUDGED,
        "gate": {"enum": ["on", "off", "none"]},
        **DOUBT,
        "tumor_pixels_interval": _or_null(_listed(COUNT, minItems=2, maxItems=2)),
        "tumor_volume_ml_interval": _or_null(_listed(NUMBER, minItems=2, maxItems=2)),
        "interval_level": _or_null(PROBABILITY),
    }
)
FOUND = {"pixels": _or_null(COUNT), "max_probability": _or_null(PROBABILITY)}
LABEL_VALUE = {"type": "integer", "minimum": 1, "maximum": 15}
LABELS = _listed(
    _exactly(
        {
            "value": LABEL_VALUE,
            "name": TEXT,
            "colour": _listed({"type": "integer", "minimum": 0, "maximum": 255}, minItems=3, maxItems=3),
            "code": _exactly({"value": TEXT, "scheme": TEXT, "meaning": TEXT}),
            "volume_ml": _or_null({"type": "number", "minimum": 0}),
            **FOUND,
        }
    ),
    minItems=1,
)
REGIONS = _listed(
    _exactly(
        {
            "name": TEXT,
            "labels": _listed(LABEL_VALUE, minItems=1, uniqueItems=True),
            "volume_ml": _or_null({"type": "number", "minimum": 0}),
            **FOUND,
        }
    )
)
SLICE = _exactly(
    {
        "index": COUNT,
        "tumor_pixels": _or_null(COUNT),
        "tumor_coverage_percent": _or_null(PERCENT),
        "max_probability": _or_null(PROBABILITY),
        "labels": _or_null(_listed(_exactly({"value": LABEL_VALUE, **FOUND}), minItems=1)),
        "regions": _or_null(_listed(_exactly({"name": TEXT, **FOUND}))),
        "trust": _exactly({**JUDGED, **DOUBT}),
        "sop_instance_uid": _or_null({"type": "string", "pattern": "^[0-9.]{1,64}$"}),
        "images": {
            "type": "object",
            "properties": dict.fromkeys(OUTPUTS, PICTURE),
            "additionalProperties": False,
        },
    }
)
PASSPORT = _exactly(
    {
        "payloadType": {"const": "application/vnd.brainseg.passport+json"},
        "payload": PICTURE,
        "signatures": _listed(_exactly({"keyid": TEXT, "sig": PICTURE})),
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
        "verdict": {"enum": ["tumor_detected", "no_tumor_detected", "not_assessed"]},
        "tumor_pixels": _or_null(COUNT),
        "tta": {"enum": ["none", "flip"]},
        "total_pixels": {"type": "integer", "minimum": 1},
        "tumor_coverage_percent": _or_null(PERCENT),
        "max_probability": _or_null(PROBABILITY),
        "labels": _or_null(LABELS),
        "regions": _or_null(REGIONS),
        "trust": TRUST,
        "tumor_volume_ml": _or_null({"type": "number", "minimum": 0}),
        "lesion_count": _or_null(COUNT),
        "lesion_connectivity": {"enum": [26, None]},
        "lesions": _or_null(_listed(LESION)),
        "sequences": _or_null(_listed(SEQUENCE, minItems=3, maxItems=3)),
        "slices": _listed(SLICE, minItems=1, maxItems=4096),
        "warnings": _listed(_exactly({"code": {"enum": list(WARNINGS)}, "detail": TEXT})),
        "timing_ms": _exactly({stage: {"type": "number", "minimum": 0} for stage in STAGES}),
        "passport": _or_null(PASSPORT),
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
    if answer["verdict"] == "not_assessed":
        assert spatial[1:4] == [None] * 3
        lesions = []
    else:
        assert None not in spatial
    assert seen["geometry"]["size"] == [seen["width"], seen["height"], seen["slices"]]
    assert sum(lesion["voxels"] for lesion in lesions) == (answer["tumor_pixels"] or 0)
    assert len(lesions) == (answer["lesion_count"] or 0)
    flair = next(entry for entry in answer["sequences"] if entry["channel"] == "flair")
    assert (flair["resampled"], flair["sha256"]) == ("same_grid", seen["sha256"])


def _check_trust(answer: Mapping[str, Any]) -> None:
    """The gate decides, is overruled or is not there; what it refuses has reasons and no numbers."""
    trust = answer["trust"]
    for judged in (trust, *(one["trust"] for one in answer["slices"])):
        assert (judged["accepted"] is False) == bool(judged["reasons"])
        assert (judged["accepted"] is None) == (trust["gate"] == "none")
    refused = trust["gate"] == "on" and trust["accepted"] is False
    assert (answer["verdict"] == "not_assessed") == refused
    for one in answer["slices"]:
        kept = refused or (trust["gate"] == "on" and one["trust"]["accepted"] is False)
        assert (one["tumor_pixels"] is None) == kept
        assert not (kept and set(one["images"]) - {"scan"})


def check_answer(body: bytes | str) -> dict[str, Any]:
    """The parsed answer, after asserting that it is one of the contract and that its numbers agree."""
    answer = _strict(body)
    Draft202012Validator(ANSWER).validate(answer)
    slices, pixels = answer["slices"], answer["input"]["width"] * answer["input"]["height"]
    assert [s["index"] for s in slices] == list(range(answer["input"]["slices"]))
    assert answer["total_pixels"] == pixels * len(slices)
    numbers = ("tumor_pixels", "tumor_coverage_percent", "max_probability")
    assessed = [s for s in slices if s["tumor_pixels"] is not None]
    assert all(s[name] is None for s in slices if s not in assessed for name in numbers)
    _check_trust(answer)
    if answer["verdict"] == "not_assessed":
        assert assessed == [] == [name for name in numbers if answer[name] is not None]
    else:
        assert answer["tumor_pixels"] == sum(s["tumor_pixels"] for s in assessed)
        assert answer["max_probability"] == max(s["max_probability"] for s in assessed)
        assert abs(answer["tumor_coverage_percent"] - 100 * answer["tumor_pixels"] / answer["total_pixels"]) <= 0.0006
        assert (answer["verdict"] == "tumor_detected") == (answer["tumor_pixels"] > 0)
    _check_geometry(answer)
    _check_classes(answer)
    return answer


def _check_classes(answer: Mapping[str, Any]) -> None:
    """Of a card with labels: each tumour pixel has one, a region has its labels' pixels, all is the slices' sum."""
    everything = [answer, *answer["slices"]]
    if answer["labels"] is None:
        assert [one[name] for one in everything for name in ("labels", "regions")] == [None, None] * len(everything)
        return
    for one in everything:
        assert [label["value"] for label in one["labels"]] == list(range(1, len(answer["labels"]) + 1))
        assert [region["name"] for region in one["regions"]] == [region["name"] for region in answer["regions"]]
        counts = [label["pixels"] for label in one["labels"]]
        if one["tumor_pixels"] is None:
            assert counts == [None] * len(counts)
            continue
        assert sum(counts) == one["tumor_pixels"]
        for region, whole in zip(one["regions"], answer["regions"], strict=True):
            assert region["pixels"] == sum(counts[value - 1] for value in whole["labels"])
    if answer["verdict"] != "not_assessed":
        for kind in ("labels", "regions"):
            for place, whole in enumerate(answer[kind]):
                assert whole["pixels"] == sum(one[kind][place]["pixels"] or 0 for one in answer["slices"])
                assert (whole["volume_ml"] is None) == (answer["input"]["geometry"] is None)


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
