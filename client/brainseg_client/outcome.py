"""The results of a scan on disk: pictures, then the record that says it is done; and the tables over all of them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from brainseg_client.files import write_atomic
from brainseg_client.jobs import MASK, OVERLAY, Job
from brainseg_client.results import Segmentation

SCAN_COLUMNS = (
    "file", "outcome", "verdict", "tumor_pixels", "total_pixels", "tumor_coverage_percent", "max_probability", "slices",
    "width", "height", "threshold", "min_lesion_pixels", "model_version", "model_digest", "sha256", "detail",
)  # fmt: skip
SLICE_COLUMNS = ("file", "slice", "tumor_pixels", "tumor_coverage_percent", "max_probability")


@dataclass(frozen=True)
class Asked:
    """What the results depend on beside the scan; ``version`` is never left to the server's default."""

    version: str
    threshold: float | None
    min_lesion_pixels: int | None


def _stack(pictures: Sequence[bytes]) -> bytes:
    """PNGs as one deflate-compressed TIFF, a page each."""
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        for picture in pictures:
            image: NDArray[np.uint8] = imagecodecs.png_decode(picture)
            kind = "rgb" if image.ndim == 3 else "minisblack"
            writer.write(image, photometric=kind, compression="zlib", metadata=None, contiguous=False)
    return buffer.getvalue()


def write_results(job: Job, asked: Asked, found: Segmentation) -> dict[str, Any]:
    """Writes mask and overlay, then the record, each whole or not at all. Returns the record."""
    stack = found.input.slices > 1
    for kind, output in ((MASK, "mask"), (OVERLAY, "overlay")):
        pictures = [one.images[output] for one in found.slices]
        write_atomic(job.picture(kind, stack), _stack(pictures) if stack else pictures[0])
    record = {"file": job.name, "asked": asdict(asked), **_plain(found)}
    write_atomic(job.record, (json.dumps(record, indent=1) + "\n").encode())
    return record


def _plain(found: Segmentation) -> dict[str, Any]:
    body = asdict(found)
    for one in body["slices"]:
        del one["images"]
    return body


def read_done(job: Job, asked: Asked, sha256: str) -> dict[str, Any] | None:
    """The record of an earlier run when it is of the same scan, asked in the same way, and its pictures are there."""
    try:
        record: dict[str, Any] = json.loads(job.record.read_text(encoding="utf-8"))
        same = record["input"]["sha256"] == sha256 and record["asked"] == asdict(asked)
        stack = record["input"]["slices"] > 1
    except (OSError, ValueError, KeyError, TypeError):
        return None
    there = all(job.picture(kind, stack).is_file() for kind in (MASK, OVERLAY))
    return record if same and there else None


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
    if "code" in record:
        return {"file": record["file"], "outcome": record["code"], "detail": record["detail"]}
    row = {"file": record["file"], "outcome": "ok", "slices": record["input"]["slices"]}
    row |= {name: record[name] for name in SCAN_COLUMNS if name in record and name not in row}
    row |= {name: record["input"][name] for name in ("width", "height", "sha256")}
    return row | {"model_version": record["model"]["version"], "model_digest": record["model"]["digest"]}


def _table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def scan_table(records: Sequence[Mapping[str, Any]]) -> bytes:
    """CSV, a row a scan; of a scan that failed, the code and what the server said."""
    return _table(SCAN_COLUMNS, [_row(record) for record in records])


def slice_table(records: Sequence[Mapping[str, Any]]) -> bytes:
    """CSV, a row a slice of the scans that did not fail."""
    rows = [
        {"file": record["file"], "slice": one["index"], **{name: one[name] for name in SLICE_COLUMNS[2:]}}
        for record in records
        for one in record.get("slices", ())
    ]
    return _table(SLICE_COLUMNS, rows)
