"""Which of the kinds of answer a client accepts (RFC 9110, section 12.5.1)."""

from __future__ import annotations

import re

from handler.errors import RequestError

PICTURES = ("image/png", "image/tiff")
GEOMETRIC = ("application/x-nifti", "application/dicom", "application/zip")  # of scans with geometry only
KINDS = ("application/json", *PICTURES, *GEOMETRIC)  # the first is given where the client does not mind
_QUALITY = re.compile(r"q=([01](?:\.\d{0,3})?)")


def _ranges(header: str) -> list[tuple[str, float]]:
    ranges = []
    for item in header.split(","):
        kind, *parameters = (part.strip().lower() for part in item.split(";"))
        quality = next((float(m[1]) for p in parameters if (m := _QUALITY.fullmatch(p))), 1.0)
        if kind:
            ranges.append((kind, quality))
    return ranges


def _quality(kind: str, ranges: list[tuple[str, float]]) -> tuple[float, int]:
    """The quality the most specific matching range gives to ``kind``, and how specific that is (0..2)."""
    best = (-1, 0.0)
    for pattern, quality in ranges:
        if pattern == kind:
            best = max(best, (2, quality))
        elif pattern == kind.split("/")[0] + "/*":
            best = max(best, (1, quality))
        elif pattern == "*/*":
            best = max(best, (0, quality))
    return best[1], best[0]


def negotiate(header: str | None) -> tuple[str, ...]:
    """The kinds of answer that an ``Accept`` header allows, the one liked best first (None or empty: JSON, and no other
    instead of it). Raises ``not_acceptable`` where it allows none."""
    ranges = _ranges(header or "")
    if not ranges:
        return KINDS[:1]
    # Equal qualities: the one named more exactly, then the order of KINDS.
    scored = sorted(((*_quality(kind, ranges), -index) for index, kind in enumerate(KINDS)), reverse=True)
    allowed = tuple(KINDS[-index] for quality, _, index in scored if quality > 0)
    if not allowed:
        raise RequestError("not_acceptable", f"Accept is {(header or '')[:80]!r}; expected one of {', '.join(KINDS)}.")
    return allowed
