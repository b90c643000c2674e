"""The REST contract as the front door needs it: the fields, the kinds of answer, the refusals.

The handler has tables of its own; a test keeps the two equal."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

OUTPUTS = ("scan", "mask", "overlay", "heatmap", "panel", "probability", "label_probabilities")
NOT_ASSESSED = "not_assessed"
VERDICTS = ("tumor_detected", "no_tumor_detected", NOT_ASSESSED)
# Why a scan is not assessed.
REASONS = (
    *("not_a_brain", "nearly_black", "saturated", "other_plane", "other_contrast"),
    *("upside_down", "cropped_head", "other_scale"),
)
_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?"
_OUTPUT = f"({'|'.join(OUTPUTS)})"


@dataclass(frozen=True)
class Field:
    """A setting of a request. ``schema``: JSON Schema of its value, patterns in the part of regular expressions that
    every language knows; ``example``: a value that the answer shown in the document was made with, None where it was
    not given."""

    name: str
    about: str
    schema: Mapping[str, Any]
    example: object = None


def _text(pattern: str) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^{pattern}$"}


def _one_of(*values: str) -> dict[str, Any]:
    return {"type": "string", "enum": list(values)}


# The document, the checks and what another origin may send follow from this table.
TABLE = (
    Field(
        "threshold",
        "Probability above which a pixel is tumour. Default: the model card's.",
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        0.5,
    ),
    Field(
        "min_lesion_pixels",
        "Connected components smaller than this, in pixels of the input, are dropped. Default: the model card's.",
        {"type": "integer", "minimum": 0, "maximum": 999_999_999},
        20,
    ),
    Field(
        "outputs",
        f"Pictures to return with each slice: none, or some of {', '.join(OUTPUTS)}, each once, with commas between; "
        "label_probabilities of a model with labels only. "
        "Default: mask,overlay of a picture, none of NIfTI or DICOM.",
        _text(f"(none|{_OUTPUT}(,{_OUTPUT})*)"),
        "none",
    ),
    Field(
        "slices",
        "Which slices to return pictures for: all, one index, or a span such as 0-19, counted from 0, both ends "
        "included. Measurements always cover all. Default: all.",
        _text("(all|[0-9]{1,6}(-[0-9]{1,6})?)"),
        "0-0",
    ),
    Field(
        "intensity_range",
        "lo,hi: the intensities mapped to 0..1, lo below hi. Default: by sample type.",
        _text(f"{_NUMBER},{_NUMBER}"),
        "0,255",
    ),
    Field(
        "series",
        "Which series of an upload with several is the FLAIR, counted from 1 as several_series lists them. Default: "
        "the one recognised.",
        {"type": "integer", "minimum": 1, "maximum": 9999},
    ),
    Field(
        "register",
        "rigid: T1 and T1 with contrast are moved to where they agree with FLAIR. Default: none.",
        _one_of("none", "rigid"),
    ),
    Field(
        "seg",
        "The kind of DICOM SEG, where one is asked for. Default: by the size of its frames.",
        _one_of("binary", "labelmap"),
    ),
    Field(
        "gate",
        "Whether a scan of a kind that the model does not know is refused. Default: on.",
        _one_of("on", "off"),
    ),
    Field(
        "tta",
        "flip: each slice is looked at in the mirror too, at twice the network's time. Default: none.",
        _one_of("none", "flip"),
    ),
    Field(
        "passport",
        "on: the answer carries a signed record of how it was made. Default: off.",
        _one_of("on", "off"),
    ),
)
FIELDS = tuple(field.name for field in TABLE)
VERSION = "version"  # goes the same ways as a field, and into TorchServe's path
MODEL = "model"  # of a segmentation: which of those beside each other; goes the same ways, and into the path
VERSION_PATTERN = "[A-Za-z0-9_-][A-Za-z0-9._-]{0,59}"
HEADER_PREFIX = "X-BrainSeg-"
FILE_PART = "file"
SEQUENCE_PARTS = ("flair", "t1", "t1c")  # of a scan with geometry
KINDS = (
    *("application/json", "image/png", "image/tiff"),
    *("application/x-nifti", "application/dicom", "application/zip"),
)
PROBLEM_KIND = "application/problem+json"
INSTANCE = "urn:brainseg:request:"  # and the request's id: this occurrence of a problem
NOTICE = "Research use only. Not a medical device."
PASSPORT_KIND = "application/vnd.brainseg.passport+json"
SEGMENT_PATH = "/api/v1/segment"
JOBS_PATH = "/api/v1/jobs"
EXPLAIN_PATH = "/api/v1/explain"
CLASSIFY_PATH = "/api/v1/classify"
OPEN_PATH = "/v2"  # of the Open Inference Protocol
_INFER_PATH = re.compile(OPEN_PATH + r"/models/[^/]+(/versions/[^/]+)?/infer/?")
_JOB_PATH = re.compile(JOBS_PATH + r"/[^/]+/?")
# Answered whatever else waits.
HEALTH_PATHS = ("/livez", "/readyz", "/metrics", "/api/v1/status", "/v2/health/live", "/v2/health/ready")
MIB = 2**20
REQUEST_BYTES = 64 * MIB
LONGEST_VALUE = 200  # characters of a field's value
LONGEST_ACCEPT = 1000  # TorchServe takes 8192 bytes of headers in all

# code -> (HTTP status, title), as in the contract.
PROBLEMS: dict[str, tuple[int, str]] = {
    "empty_body": (400, "The request has no body"),
    "no_image": (400, "The request carries no scan"),
    "invalid_parameter": (400, "A field is unknown, doubled or out of range"),
    "unauthorized": (401, "A valid key is needed"),
    "model_not_found": (404, "No such model version"),
    "not_acceptable": (406, "The answer cannot be given in the accepted types"),
    "too_large": (413, "The scan is larger than the limits allow"),
    "response_too_large": (413, "The answer would be larger than the limit"),
    "unsupported_format": (415, "The format of the scan is not supported"),
    "corrupt_image": (422, "The scan cannot be decoded"),
    "unsupported_shape": (422, "The shape of the scan is not supported"),
    "inconsistent_series": (422, "The slices do not make one regular volume"),
    "geometry_mismatch": (422, "The sequences do not lie over each other"),
    "several_series": (422, "Several series could be meant"),
    "not_mr": (422, "The series is not MR"),
    "not_assessed": (422, "The scan is not of the kind that the model knows"),
    "nothing_to_explain": (422, "The slice has nothing to explain"),
    "rate_limited": (429, "Too many requests"),
    "internal_error": (500, "An error on our side"),
    "explain_unavailable": (501, "This version cannot explain its answers so"),
    "worker_lost": (502, "The worker died on this request"),
    "queue_full": (503, "The queue is full"),
    "not_ready": (503, "No worker is ready"),
    "out_of_memory": (503, "The worker has not enough memory left"),
    "timeout": (504, "The answer took too long"),
}
# Beyond the contract of TorchServe: what only a web server meets.
HTTP_PROBLEMS: dict[str, tuple[int, str]] = {
    "not_found": (404, "No such page"),
    "method_not_allowed": (405, "The method is not allowed here"),
    "bad_request": (400, "The request is not well-formed HTTP"),
    "request_timeout": (408, "The request took too long to arrive"),
    "job_not_found": (404, "No such job"),
    "conflict": (409, "What is there already does not go with the request"),
}


class RefusedError(Exception):
    """A request that is refused. ``code`` is a key of :data:`PROBLEMS` or :data:`HTTP_PROBLEMS`; ``detail`` says what
    came, what was expected and what to do, and never quotes keys, file names or bytes of the scan.
    ``retry_after``: seconds after which the same request is worth another try; None: it is not, as it stands."""

    def __init__(self, code: str, detail: str, retry_after: int | None = None) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.retry_after = retry_after
        self.status, self.title = (PROBLEMS | HTTP_PROBLEMS)[code]

    def members(self) -> dict[str, Any]:
        """What every occurrence of the refusal says (RFC 9457)."""
        return {
            "type": f"urn:brainseg:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }

    def body(self, request_id: str) -> bytes:
        """``application/problem+json``."""
        return json.dumps({**self.members(), "instance": INSTANCE + request_id}).encode()

    def headers(self) -> dict[str, str]:
        """Headers that go with the body."""
        headers = {"Content-Type": PROBLEM_KIND}
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        if self.status == 401:
            headers["WWW-Authenticate"] = 'Bearer realm="brainseg"'
        return headers


def unknown_field(name: str, holds_a_file: bool = False) -> RefusedError:
    """For a field, header or query parameter that is not one of :data:`FIELDS`; ``holds_a_file``: a part of a form
    that does."""
    if holds_a_file:
        return RefusedError(
            "invalid_parameter",
            f"The form has a file in the part {name[:40]!r}; the scan goes in the part {FILE_PART!r}, or the sequences "
            f"of one in {', '.join(SEQUENCE_PARTS)}.",
        )
    return RefusedError(
        "invalid_parameter", f"Unknown field {name[:40]!r}; expected one of {', '.join((*FIELDS, VERSION))}."
    )


@dataclass(frozen=True)
class Answer:
    """What goes back to the client. Header names and values are latin-1 text without line breaks."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def takes_scan(method: str, path: str) -> bool:
    """Whether a scan is sent to ``path`` by ``method``."""
    if method == "PUT":
        return _JOB_PATH.fullmatch(path) is not None
    return method == "POST" and (
        path in (SEGMENT_PATH, EXPLAIN_PATH, CLASSIFY_PATH)
        or path.rstrip("/") == JOBS_PATH
        or _INFER_PATH.fullmatch(path) is not None
    )


def field_header(name: str) -> str:
    """``min_lesion_pixels`` -> ``X-BrainSeg-Min-Lesion-Pixels``."""
    return HEADER_PREFIX + name.replace("_", "-").title()
