"""The document's part about types."""

from __future__ import annotations

from typing import Any

from web.contract import examples
from web.contract.fields import CLASSIFY_PATH, VERSION
from web.contract.parts import SEGMENT_CODES, answered, operation, problems

# Of a segmentation's fields those that say what the network sees.
SHARED = ("slices", "intensity_range", "series", "register")


def classify_paths(segment: list[dict[str, Any]], body: dict[str, Any]) -> dict[str, Any]:
    """``segment``: the parameters of a segmentation; ``body``: a scan."""
    about = (
        "The most likely of the model's classes, and a probability for each. Of a scan with several slices say which "
        "one is meant, as in `slices=7`. The model names one of its classes whatever it sees, a head without a tumour "
        "too; where none is deployed the answer is `model_not_found`."
    )
    named = operation(
        "classify",
        "scans",
        "Name the type of tumour in a slice",
        {"200": answered("Classification", "The type", examples.CLASSIFICATION)} | problems(SEGMENT_CODES),
        about,
        parameters=[one for one in segment if one["name"] in (VERSION, *SHARED)],
        requestBody=body,
    )
    return {CLASSIFY_PATH: {"post": named}}
