"""The tables over all results of a folder."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from brainseg_client.names import cell, remark

SCANS, SLICES = "measurements.csv", "slices.csv"
SCAN_COLUMNS = (
    "file", "outcome", "verdict", "tumor_pixels", "total_pixels", "tumor_coverage_percent", "max_probability", "slices",
    "width", "height", "threshold", "min_lesion_pixels", "model_version", "model_digest", "sha256",
    "tumor_volume_ml", "lesions", "detail", "model_name",
)  # fmt: skip
SLICE_COLUMNS = ("file", "slice", "tumor_pixels", "tumor_coverage_percent", "max_probability")


def _parts(record: Mapping[str, Any]) -> dict[str, Any]:
    """Of a model that tells parts of a tumour apart: columns of each label and region, by their names."""
    row: dict[str, Any] = {}
    for kind, parts in (("label", record.get("labels")), ("region", record.get("regions"))):
        for part in parts or ():
            row[f"{kind} {remark(part['name'])} pixels"] = part["pixels"]
            row[f"{kind} {remark(part['name'])} ml"] = part["volume_ml"]
    return row


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
    file = cell(record["file"])
    if "code" in record:
        return {"file": file, "outcome": remark(record["code"]), "detail": remark(record["detail"])}
    row = {"file": file, "outcome": "ok", "slices": record["input"]["slices"]}
    row["lesions"] = None if record.get("lesions") is None else len(record["lesions"])
    row |= {name: record[name] for name in SCAN_COLUMNS if name in record and name not in row}
    if record["verdict"] == "not_assessed":
        row["detail"] = ", ".join(remark(reason) for reason in record["trust"]["reasons"])
    row |= {name: record["input"][name] for name in ("width", "height", "sha256")}
    model = record["model"]
    row |= {"model_version": model["version"], "model_digest": model["digest"], "model_name": model["name"]}
    return row | _parts(record)


def _table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    # A server's words may hold what UTF-8 does not know; names do not, see names.shown.
    return text.getvalue().encode(errors="backslashreplace")


def scan_table(records: Sequence[Mapping[str, Any]]) -> bytes:
    """CSV, a row a scan; of a scan that failed, the code and what the server said. Behind the columns that every table
    has come those of the labels and regions that any of ``records`` has."""
    rows = [_row(record) for record in records]
    more = dict.fromkeys(name for row in rows for name in row if name not in SCAN_COLUMNS)
    return _table((*SCAN_COLUMNS, *more), rows)


def slice_table(records: Sequence[Mapping[str, Any]]) -> bytes:
    """CSV, a row a slice of the scans that did not fail."""
    rows = [
        {"file": cell(record["file"]), "slice": one["index"], **{name: one[name] for name in SLICE_COLUMNS[2:]}}
        for record in records
        for one in record.get("slices", ())
    ]
    return _table(SLICE_COLUMNS, rows)
