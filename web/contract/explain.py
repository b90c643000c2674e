"""The document's part about explanations."""

from __future__ import annotations

from typing import Any

from web.contract import examples
from web.contract.fields import EXPLAIN_PATH, MODEL, VERSION, Field
from web.contract.parts import EXPLAIN_CODES, answered, operation, problems

METHODS = ("gradcam", "occlusion")
QUESTIONS = ("verdict", "area")
OWN = (
    Field(
        "method",
        "gradcam: by gradients inside the network, fast. occlusion: by covering a part at a time, with as many runs of "
        "the network. Default: gradcam.",
        {"type": "string", "enum": list(METHODS)},
        "occlusion",
    ),
    Field(
        "question",
        "What moves the largest probability (verdict), or the probability over the pixels that are tumour (area)? "
        "Default: verdict.",
        {"type": "string", "enum": list(QUESTIONS)},
        "area",
    ),
    Field(
        "slice",
        "Which slice, counted from 0. May be left out where there is one only.",
        {"type": "integer", "minimum": 0, "maximum": 999_999},
        0,
    ),
    Field(
        "window",
        "Of occlusion: the side of what is covered, in pixels of the network's grid. Default: an eighth of the grid.",
        {"type": "integer", "minimum": 8, "maximum": 512},
        32,
    ),
    Field(
        "seconds",
        "The longest that it may take; what will take longer is refused. Default: 30.",
        {"type": "integer", "minimum": 1, "maximum": 300},
        30,
    ),
)
FIELDS = tuple(field.name for field in OWN)
# Of a segmentation's fields those that change what the network sees, or which pixels are tumour.
SHARED = ("threshold", "intensity_range", "series", "register", "gate")


def explain_paths(segment: list[dict[str, Any]], body: dict[str, Any]) -> dict[str, Any]:
    """``segment``: the parameters of a segmentation; ``body``: a scan."""
    own = [
        {"name": one.name, "in": "query", "description": one.about, "schema": dict(one.schema), "example": one.example}
        for one in OWN
    ]
    shared = [one for one in segment if one["name"] in (MODEL, VERSION, *SHARED)]
    about = (
        "A heat map of one slice, what it is of, and how far it can be believed: what the answer becomes when the most "
        "important tenth of the head is blanked, against a tenth at random. It shows what the network's answer hangs "
        "on, not whether that is right."
    )
    explained = operation(
        "explain",
        "scans",
        "What moves the answer",
        {"200": answered("Explanation", "The map", examples.EXPLANATION)} | problems(EXPLAIN_CODES),
        about,
        parameters=[*shared, *own],
        requestBody=body,
    )
    return {EXPLAIN_PATH: {"post": explained}}
