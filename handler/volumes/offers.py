"""The bytes of one part -> the volumes that are in it, by their headers."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from handler.errors import RequestError
from handler.limits import Limits
from handler.scan import Warn
from handler.volumes.candidate import Candidate
from handler.volumes.dicom.series import find_series
from handler.volumes.nifti import describe, read_nifti
from handler.volumes.sequences import recognise
from handler.volumes.sniff import kind_of
from handler.volumes.volume import Acquisition, Volume
from handler.volumes.zips import Packed, unzip

SCAN_SUFFIXES = (".dcm", ".ima", ".nii", ".gz")


@dataclass(frozen=True, eq=False)
class Offer:
    """``candidates``: at least one, numbered from 1 in the order of the upload."""

    candidates: tuple[Candidate, ...]
    warnings: tuple[Warn, ...] = ()


def _nifti(part: str, file: Packed, digest: str, limits: Limits, number: int) -> Candidate:
    size, plane = describe(file.data, limits)
    acquisition = Acquisition(description=PurePosixPath(file.name).name or None, name=part)

    def load(others: int) -> Volume:
        volume = read_nifti(file.data, limits, part, others)
        return dataclasses.replace(volume, sha256=digest, acquisition=acquisition)

    return Candidate(number, acquisition, size, plane, recognise(acquisition), load)


def _sorted_out(files: Sequence[Packed]) -> tuple[list[Packed], tuple[Warn, ...]]:
    """DICOM and NIfTI files, and a warning about what was left out."""
    scans, strangers = [], 0
    for file in files:
        kind = kind_of(file.data)
        if kind is not None:
            scans.append(file)
        elif file.name.lower().endswith(SCAN_SUFFIXES):
            raise RequestError(
                "corrupt_image",
                f"File {file.number} of the zip is named like a scan but is none: empty, cut off or damaged. Export "
                "the series again.",
            )
        else:
            strangers += 1
    if not scans:
        raise RequestError(
            "unsupported_format",
            f"The zip's {len(files)} files are neither DICOM nor NIfTI; expected a series or a study. Pictures (JPEG, "
            "PNG, TIFF) are sent by themselves, not in a zip.",
        )
    if strangers:
        return scans, (Warn("files_skipped", f"{strangers} files of the zip are neither DICOM nor NIfTI"),)
    return scans, ()


def offer(part: str, data: bytes, limits: Limits) -> Offer:
    """What ``data``, sent as ``part``, holds.

    Raises ``unsupported_format`` for what is no volume, and the refusals of whichever reader it is for."""
    kind = kind_of(data)
    if kind is None:
        raise RequestError(
            "unsupported_format", f"The part '{part}' is no volume; expected NIfTI, DICOM or a zip of them."
        )
    digest = hashlib.sha256(data).hexdigest()
    files, told = _sorted_out(list(unzip(data, limits))) if kind == "zip" else ([Packed(1, "", data)], ())
    kinds = [kind_of(file.data) for file in files]
    dicom = [file for file, found in zip(files, kinds, strict=True) if found == "dicom"]
    found, more = find_series(dicom, part, digest, limits) if dicom else ([], ())
    candidates = [
        Candidate(n, one.acquisition, one.size, one.plane, recognise(one.acquisition), one.load)
        for n, one in enumerate(found, 1)
    ]
    for file, other in zip(files, kinds, strict=True):
        if other != "dicom":
            candidates.append(_nifti(part, file, digest, limits, len(candidates) + 1))
    return Offer(tuple(candidates), (*told, *more))
