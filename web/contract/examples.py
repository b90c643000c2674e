"""Examples for the document: one request with its answer, and a refusal for each code. A test holds them to the schemas
and to each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from web.contract.fields import HTTP_PROBLEMS, INSTANCE, KINDS, NOTICE, PROBLEMS, RefusedError

VERSION = "2.0"
REQUEST_ID = "ward-7.scan-0042"
MODEL = {
    "name": "brainseg",
    "version": VERSION,
    "digest": f"sha256:{'4f5a' * 16}",
    "architecture": "unet-timm-tf_efficientnet_lite0",
}
_FOUND = {"tumor_pixels": 1834, "tumor_coverage_percent": 2.798, "max_probability": 0.99812}
_JUDGED: dict[str, Any] = {"accepted": None, "score": None, "reasons": []}
_DOUBT = {"uncertain": None, "expected_dice": None}

SEGMENTATION: dict[str, Any] = {
    "model": MODEL,
    "input": {"format": "png", "width": 256, "height": 256, "slices": 1, "sha256": "9b1d" * 16, "geometry": None},
    "threshold": 0.5,
    "min_lesion_pixels": 20,
    "tta": "none",
    "verdict": "tumor_detected",
    **_FOUND,
    "labels": None,
    "regions": None,
    "total_pixels": 65536,
    "trust": {
        **_JUDGED,
        "gate": "none",
        **_DOUBT,
        "tumor_pixels_interval": None,
        "tumor_volume_ml_interval": None,
        "interval_level": None,
    },
    "tumor_volume_ml": None,
    "lesion_count": None,
    "lesion_connectivity": None,
    "lesions": None,
    "sequences": None,
    "slices": [
        {
            "index": 0,
            **_FOUND,
            "labels": None,
            "regions": None,
            "trust": {**_JUDGED, **_DOUBT},
            "sop_instance_uid": None,
            "images": {},
        }
    ],
    "warnings": [{"code": "grey_input", "detail": "one channel used for all three"}],
    "timing_ms": {"decode": 1.2, "preprocess": 0.6, "inference": 40.1, "render": 0.0},
    "passport": None,
    "notice": NOTICE,
}
_LEFT = {"score": 6.91, "max_probability": 0.99812, "area": 1702.4}
EXPLANATION: dict[str, Any] = {
    "model": MODEL,
    "input": {name: value for name, value in SEGMENTATION["input"].items() if name != "geometry"},
    "slice": 0,
    "method": "occlusion",
    "question": "area",
    "threshold": 0.5,
    "window": 32,
    "windows": 121,
    "layer": None,
    "unit": "pixels of the network's grid",
    "baseline": [0.21, 0.24, 0.22],
    "range": [-3.1, 412.7],
    "images": {"heat": "iVBORw0KGgo=", "overlay": "iVBORw0KGgo="},
    "said": "Bright is where the probability falls when a window of 32 pixels is blanked; …",
    "deletion": {
        "faithful": True,
        "share": 0.1,
        "tile": 16,
        "tiles": 117,
        "blanked": 12,
        "whole": _LEFT,
        "without_most_important": {"score": -1.2, "max_probability": 0.3119, "area": 96.2},
        "without_random": [{"score": 6.84, "max_probability": 0.99795, "area": 1633.9}],
        "said": "With the brightest tenth of the head blanked the area goes from 1702 pixels to 96 pixels; …",
    },
    "trust": {**_JUDGED, "gate": "none"},
    "seconds": 3.207,
    "notice": NOTICE,
}
CLASSIFICATION: dict[str, Any] = {
    "model": {
        "name": "brainseg-types",
        "version": "0.1",
        "digest": f"sha256:{'c07e' * 16}",
        "architecture": "classifier-tu-tf_efficientnet_lite0",
    },
    "input": EXPLANATION["input"],
    "slice": 0,
    "label": "meningioma",
    "probabilities": {"glioma": 0.11812, "meningioma": 0.85201, "pituitary": 0.02987},
    "trust": {**_JUDGED, "gate": "none"},
    "warnings": [{"code": "assumes_tumour", "detail": "The model names one of its classes whatever it sees, …"}],
    "timing_ms": {"decode": 1.2, "preprocess": 0.6, "inference": 9.4},
    "notice": NOTICE,
}
MODELS: dict[str, Any] = {
    "name": MODEL["name"],
    "default": VERSION,
    "versions": [
        {
            "version": VERSION,
            "default": True,
            "role": "live",
            "since": "2026-11-02T08:15:00+00:00",
            "workers": {"wanted": 1, "ready": 1},
            "card": {"name": MODEL["name"], "version": VERSION, "threshold": 0.5, "min_lesion_pixels": 20},
        }
    ],
    "beside": [
        {
            "name": "brainseg-regions",
            "default": "0.1",
            "versions": [{"version": "0.1", "default": True, "workers": {"wanted": 1, "ready": 1}, "card": None}],
        }
    ],
}
PASSPORT_KEYS: dict[str, Any] = {
    "keys": [
        {
            "keyid": "7d1a0c55e0c3b9f2",
            "algorithm": "ed25519",
            "public_key": "-----BEGIN PUBLIC KEY-----\n…\n-----END PUBLIC KEY-----\n",
            "signs": True,
        }
    ]
}
JOB: dict[str, Any] = {
    "id": "5f0c9d1e2b7a4c3d8e6f",
    "state": "queued",
    "created": "2026-11-02T08:15:00.000+00:00",
    "started": None,
    "ended": None,
    "ahead": 2,
    "status": None,
    "code": None,
    "webhook": None,
    "result": None,
    "events": "/api/v1/jobs/5f0c9d1e2b7a4c3d8e6f/events",
}
READY: dict[str, Any] = {"status": "ready", "reasons": [], "degraded": []}
NOT_READY: dict[str, Any] = {
    "status": "not_ready",
    "reasons": [f"version {VERSION}: 0 of 1 workers are ready"],
    "degraded": [],
}
ALIVE: dict[str, Any] = {"status": "alive"}
DETAILS = {
    "empty_body": "The request has no body; send the bytes of a scan's file.",
    "no_image": "The form has no part 'file' with the scan in it.",
    "invalid_parameter": "Field threshold is '2': expected a number above 0 and below 1.",
    "unauthorized": "The API key is missing; send 'Authorization: Bearer KEY'.",
    "model_not_found": "No version 9.9; GET /api/v1/models lists them.",
    "not_acceptable": f"Accept is 'text/html'; expected one of {', '.join(KINDS)}.",
    "unsupported_format": "The file is GIF; expected JPEG, PNG, TIFF, NIfTI, DICOM or a zip of DICOM files.",
    "corrupt_image": "The file begins like PNG but cannot be decoded. It may be cut off or damaged; save it again.",
    "queue_full": "TorchServe's queue is full; try again.",
    "out_of_memory": "The worker had not enough memory left for this scan. Try again later, or send fewer or smaller "
    "slices.",
    "not_ready": "No worker is ready to take the scan; try again later.",
}


def problems(codes: Sequence[str]) -> dict[str, Any]:
    """An example by code, as a media type's ``examples`` wants them."""
    found = {}
    for code in codes:
        refusal = RefusedError(code, DETAILS.get(code, f"{(PROBLEMS | HTTP_PROBLEMS)[code][1]}."))
        found[code] = {"value": {**refusal.members(), "instance": INSTANCE + REQUEST_ID}}
    return found
