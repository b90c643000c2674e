"""An answer of the handler -> the files of a scan and its line in the table."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from archive.store import MODEL_NAME
from brainseg_client.records import pictures, volume_files
from brainseg_client.results import segmentation
from bulk.names import key_of
from bulk.row import NOT_ASSESSED, LabelFound, RegionFound, Row
from handler.answer import REFUSED_HEADER, Answer
from handler.outcome import Outcome

RESULT = "result.json"
MASKS = "masks"


@dataclass(frozen=True)
class Scan:
    """What is known of a scan beside what the handler says."""

    sha256: str
    path: str
    files: int
    bytes: int
    version: str
    model_digest: str
    model: str = MODEL_NAME

    @property
    def folder(self) -> str:
        """Where its files go: by digest, 256 folders beside each other, for no store likes a million names in one."""
        return f"{MASKS}/{key_of(self.model, self.version)}/{self.sha256[:2]}/{self.sha256}"


def failed(scan: Scan, code: str, detail: str, seconds: float, **more: Any) -> Row:
    """A line for a scan that has no result. ``more``: of the row's other fields."""
    return _row(scan, code, detail, seconds, more)


def _row(scan: Scan, code: str | None, detail: str | None, seconds: float, more: Mapping[str, Any]) -> Row:
    known = {**asdict(scan), **more}
    known["input_sha256"] = known.pop("sha256") or None
    return Row(error_code=code, error_detail=detail, seconds=seconds, **known)


def _parts(body: Mapping[str, Any]) -> dict[str, Any]:
    """What was found by label and by region; None where the model has none, or nothing was assessed."""
    if body["labels"] is None or body["verdict"] == NOT_ASSESSED:
        return {}
    figures = ("pixels", "volume_ml", "max_probability")
    return {
        "labels": tuple(
            LabelFound(**{name: one[name] for name in ("value", "name", *figures)}) for one in body["labels"]
        ),
        "regions": tuple(RegionFound(**{name: one[name] for name in ("name", *figures)}) for one in body["regions"]),
    }


def _found(body: Mapping[str, Any]) -> dict[str, Any]:
    """Of the answer's JSON what the table has."""
    trust, scan = body["trust"], body["input"]
    interval = trust["tumor_volume_ml_interval"] or (None, None)
    same = ("verdict", "tumor_pixels", "total_pixels", "tumor_coverage_percent", "max_probability", "threshold")
    return {
        **{name: body[name] for name in (*same, "min_lesion_pixels", "tumor_volume_ml")},
        **{name: scan[name] for name in ("format", "slices", "height", "width")},
        "lesions": None if body["lesions"] is None else len(body["lesions"]),
        "trust_accepted": trust["accepted"],
        "trust_score": trust["score"],
        "trust_reasons": tuple(trust["reasons"]),
        "uncertain": trust["uncertain"],
        "expected_dice": trust["expected_dice"],
        "tumor_volume_ml_low": interval[0],
        "tumor_volume_ml_high": interval[1],
        "warnings": tuple(one["code"] for one in body["warnings"]),
        **_parts(body),
    }


def _files(answer: Answer) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The JSON and the files to keep."""
    if answer.content_type != "application/zip":
        body = json.loads(answer.body)
        mask = pictures(segmentation(body)).get("mask")
        ending = "tiff" if body["input"]["slices"] > 1 else "png"
        return body, {} if mask is None else {f"mask.{ending}": mask}
    with zipfile.ZipFile(io.BytesIO(answer.body)) as packed:
        members = {name: packed.read(name) for name in packed.namelist()}
    return json.loads(members[RESULT]), volume_files(members)


def _refused(scan: Scan, outcome: Outcome, seconds: float) -> Row:
    problem = json.loads(outcome.answer.body)
    if outcome.code != NOT_ASSESSED:
        return failed(scan, outcome.code, problem["detail"], seconds)
    reasons = tuple(filter(None, outcome.answer.headers.get(REFUSED_HEADER, "").split(",")))
    more = {"verdict": NOT_ASSESSED, "trust_accepted": False, "trust_reasons": reasons}
    return failed(scan, NOT_ASSESSED, problem["detail"], seconds, **more)


def result_of(scan: Scan, outcome: Outcome, seconds: float) -> tuple[Row, Mapping[str, bytes]]:
    """The line, and the files by name, to be written below :attr:`Scan.folder`."""
    if outcome.code != "ok":
        return _refused(scan, outcome, seconds), {}
    body, files = _files(outcome.answer)
    found = _found(body)
    if found["verdict"] == NOT_ASSESSED:
        said = f"The scan is not of the kind that the model knows ({', '.join(found['trust_reasons'])})."
        return failed(scan, NOT_ASSESSED, said, seconds, **found), {}
    found["outputs"] = tuple(f"{scan.folder}/{name}" for name in sorted(files))
    return _row(scan, None, None, seconds, found), files
