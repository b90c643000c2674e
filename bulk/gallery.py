"""Pictures of the largest tumours for the report: on request, for a picture may show more than a digest does."""

from __future__ import annotations

import base64
import heapq
import json
from collections.abc import Mapping
from typing import Any

from bulk.book import Book
from bulk.places import Destination
from bulk.reading import Refused, read_scan, request_of
from bulk.release import Opened, open_archive
from bulk.report import Shown
from bulk.table import Tables, rows_of
from handler.pipeline import Model, answer

MOST = 60


def _largest(destination: Destination, tables: Tables, count: int) -> list[tuple[int, str, str]]:
    """(tumour pixels, digest, path), the largest first."""
    rows = rows_of(destination, tables.parts(), ["input_sha256", "path", "tumor_pixels"])
    found = ((row["tumor_pixels"] or 0, row["input_sha256"] or "", row["path"]) for row in rows)
    return heapq.nlargest(count, (one for one in found if one[0]))


Sent = tuple[Mapping[str, bytes], Mapping[str, str]]  # as bulk.reading.request_of gives it


def _asked(model: Model, sent: Sent, **fields: str) -> Mapping[str, Any] | None:
    parts, headers = sent
    outcome = answer(model, parts, {**headers, **{f"X-BrainSeg-{name}": value for name, value in fields.items()}})
    return json.loads(outcome.answer.body) if outcome.code == "ok" else None


def _shown(model: Model, sent: Sent, sha256: str) -> Shown | None:
    """The slice with most tumour, where it still answers."""
    found = _asked(model, sent, Outputs="none")
    if found is None or not found["tumor_pixels"]:
        return None
    best = max(found["slices"], key=lambda one: one["tumor_pixels"] or 0)["index"]
    drawn = _asked(model, sent, Outputs="overlay", Slices=f"{best}-{best}")
    if drawn is None:
        return None
    volume = found["tumor_volume_ml"]
    caption = f"{found['tumor_pixels']} pixels" if volume is None else f"{volume:.1f} ml"
    return Shown(
        sha256, "; ".join((caption, *_parts(found))), base64.b64decode(drawn["slices"][best]["images"]["overlay"])
    )


def _parts(found: Mapping[str, Any]) -> list[str]:
    """What there is of each label, if the model has any."""
    labels = [one for one in found["labels"] or () if one["pixels"]]
    sizes = (f"{one['pixels']}" if one["volume_ml"] is None else f"{one['volume_ml']:.1f} ml" for one in labels)
    return [f"{one['name']} {size}" for one, size in zip(labels, sizes, strict=True)]


def gallery(
    destination: Destination, tables: Tables, book: Book, opened: Opened, count: int, authorization: str = ""
) -> list[Shown]:
    """At most ``count`` pictures of scans that this run has listed; what cannot be read any more is left out."""
    model, shown = open_archive(opened.content, opened.sha256), []
    for _, sha256, path in _largest(destination, tables, min(count, MOST)):
        parts = book.parts_of(path)
        try:
            files = read_scan(parts, model.limits.unpacked_bytes, authorization) if parts else []
        except Refused:
            continue
        if files and (one := _shown(model, request_of(parts, files), sha256)):
            shown.append(one)
    return shown
