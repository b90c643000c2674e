"""Two versions' answers to the same scan, compared by their masks."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Any

from exchange.outcome import Compared


def has_masks(answer: Mapping[str, Any]) -> bool:
    """Whether every slice of ``answer`` (the contract's JSON) has its mask, or the scan was not assessed."""
    if answer["verdict"] == "not_assessed":
        return True
    return bool(answer["slices"]) and all("mask" in (one["images"] or {}) for one in answer["slices"])


def compared(live: Mapping[str, Any], candidate: Mapping[str, Any], sha256: str) -> Compared:
    """``live``, ``candidate``: answers with masks; ``sha256``: of the input, kept where they disagree. Labels of a mask
    all count as tumour. Raises ``ValueError``, ``KeyError`` or ``TypeError`` for what is no such answer."""
    flip = live["verdict"] != candidate["verdict"]
    assessed = "not_assessed" not in (live["verdict"], candidate["verdict"])
    dice = _dice(live["slices"], candidate["slices"]) if assessed else None
    area = (candidate["tumor_pixels"] or 0) - (live["tumor_pixels"] or 0) if assessed else 0
    differ = flip or (dice is not None and dice < 1)
    return Compared(dice, flip, 100 * area / live["total_pixels"], sha256=sha256 if differ else "")


def _dice(live: list[Mapping[str, Any]], candidate: list[Mapping[str, Any]]) -> float | None:
    """Over all slices together; None where neither has tumour."""
    # What only a shadow needs: a front door without one never loads them.
    import numpy as np
    from PIL import Image

    both = either = 0
    for ours, theirs in zip(candidate, live, strict=True):
        a, b = (
            np.asarray(Image.open(io.BytesIO(base64.b64decode(one["images"]["mask"], validate=True)))) > 0
            for one in (ours, theirs)
        )
        if a.shape != b.shape:
            raise ValueError(f"masks of {a.shape} and {b.shape}")
        both += int(np.count_nonzero(a & b))
        either += int(np.count_nonzero(a)) + int(np.count_nonzero(b))
    return 2 * both / either if either else None
