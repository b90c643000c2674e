"""The results of a scan on disk: its pictures, and the record that holds their digests and says that it is done."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from brainseg_client.errors import ServerError
from brainseg_client.files import write_atomic
from brainseg_client.jobs import MASK, OVERLAY, RECORD, Job
from brainseg_client.results import Segmentation
from brainseg_client.stacks import black_png, tiff_of

Record = dict[str, Any]
VOLUME_FILE = re.compile(r"mask\.nii\.gz|(?:seg|sr-[a-z0-9-]+)\.dcm")
KINDS = {"mask": MASK, "overlay": OVERLAY}  # output -> what its file's name ends with


@dataclass(frozen=True)
class Asked:
    """What the results depend on beside the scan; ``version`` is never left to the server's default."""

    version: str
    threshold: float | None
    min_lesion_pixels: int | None
    tta: str | None = None
    model: str | None = None

    def as_json(self) -> dict[str, Any]:
        """As a record has it; what was asked before there was ``tta`` or ``model`` is what it was."""
        later = ("tta", "model")
        return {name: value for name, value in asdict(self).items() if name not in later or value is not None}


def pictures(found: Segmentation) -> dict[str, bytes]:
    """File contents by output: a PNG, or a TIFF of a stack. An output that no slice has, since the server gave none, is
    left out; of slices that were not assessed the page is black. Raises :class:`ServerError` where others lack it too,
    or where it is no picture."""
    drawn: dict[str, bytes] = {}
    for output in KINDS:
        pages = [one.images[output] for one in found.slices if output in one.images]
        if not pages:
            continue
        if found.assessed:
            black = black_png(found.input.width, found.input.height)
            pages = [page for one in found.slices if (page := one.images.get(output, None if one.assessed else black))]
        try:
            if len(pages) != len(found.slices):
                raise ValueError(f"{len(pages)} of {len(found.slices)} slices have one")
            drawn[output] = tiff_of(pages) if found.input.slices > 1 else pages[0]
        except ValueError as error:
            said = f"the answer's {output} cannot be used: {error}"
            raise ServerError("internal_error", said, request_id=found.request_id) from error
    return drawn


def volume_files(bundle: Mapping[str, bytes]) -> dict[str, bytes]:
    """What of the server's zip is kept beside the record: ``mask.nii.gz``, of DICOM ``seg.dcm`` and ``sr-….dcm``."""
    return {name: data for name, data in sorted(bundle.items()) if VOLUME_FILE.fullmatch(name)}


def write_results(job: Job, asked: Asked, found: Segmentation, bundle: Mapping[str, bytes] | None = None) -> Record:
    """Writes mask and overlay, or the files of a volume out of ``bundle``, then the record, each whole or not at all.
    Returns the record. Raises as :func:`pictures`, before anything is written, or ``OSError``."""
    if bundle is None:
        stack = found.input.slices > 1
        drawn = {job.picture(KINDS[output], stack): (output, data) for output, data in pictures(found).items()}
    else:
        drawn = {
            job.stem.with_name(f"{job.stem.name}.{name}"): (name.partition(".")[0], data)
            for name, data in volume_files(bundle).items()
        }
    # The record of an earlier run goes first: were this one to end here, it would vouch for pictures that are not its.
    old = _read(job.record)
    job.record.unlink(missing_ok=True)
    if old is not None:
        _remove(old, job.record)
    digests = {}
    for path, (output, data) in drawn.items():
        write_atomic(path, data)
        digests[output] = {"file": _ending(path, job), "sha256": hashlib.sha256(data).hexdigest()}
    record = {"file": job.name, "asked": asked.as_json(), "pictures": digests, **_plain(found)}
    write_atomic(job.record, (json.dumps(record, indent=1) + "\n").encode())
    return record


def _ending(path: Path, job: Job) -> str:
    """What follows the stem: names stay as they are on disk, and records are text."""
    return path.name.removeprefix(job.stem.name)


def _plain(found: Segmentation) -> Record:
    body = asdict(found)
    for one in body["slices"]:
        del one["images"]
    return body


def _read(path: Path) -> Record | None:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        wanted = (record["file"], record["asked"], record["input"]["sha256"], record["pictures"], record["slices"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return record if wanted else None


def _pictures_of(record: Record, path: Path) -> Iterator[tuple[Path, str]]:
    """(path, SHA-256) of the pictures that the record at ``path`` vouches for."""
    stem = path.name.removesuffix(RECORD)
    for one in record["pictures"].values():
        yield path.with_name(stem + one["file"]), one["sha256"]


def _remove(record: Record, path: Path) -> None:
    """What the record at ``path`` vouched for: a SEG of an earlier scan beside a NIfTI's mask would seem to be its."""
    with contextlib.suppress(KeyError, TypeError, AttributeError, ValueError):  # somebody else's JSON
        for one, _ in list(_pictures_of(record, path)):
            one.unlink(missing_ok=True)


def read_done(job: Job, asked: Asked, sha256: str) -> Record | None:
    """The record of an earlier run when it is of the same scan, asked in the same way, and its pictures are there as
    they were written."""
    record = _read(job.record)
    if record is None or record["input"]["sha256"] != sha256 or record["asked"] != asked.as_json():
        return None
    try:
        for path, digest in _pictures_of(record, job.record):
            if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
                return None
    except (OSError, KeyError, TypeError, AttributeError):
        return None
    return record


def all_done(out: Path) -> dict[str, Record]:
    """Every record below ``out`` whose pictures are there, by its scan's name, in order of name."""
    found = {}
    for path in sorted(out.rglob(f"*{RECORD}")):
        record = _read(path)
        try:
            if record and all(picture.is_file() for picture, _ in _pictures_of(record, path)):
                found[str(record["file"])] = record
        except (KeyError, TypeError, AttributeError):
            continue  # somebody else's JSON
    return found
