"""Equal bytes for equal results, and never one UID for two.

A PACS that has an object keeps it when another one comes under the same UID, and says that all is well. So the UIDs of
what we write are digests of its own bytes: the same scan, version and settings give the same object, and whatever
differs by one bit is another one. All times in it are the study's.
"""

from __future__ import annotations

import hashlib
import io
import re
import uuid
from datetime import datetime
from typing import Any

from handler.volumes.dicom.written import as_written
from handler.volumes.out.frames import Frames

NO_DATE, NO_TIME = "19000101", "000000"  # where the source states none: type 1 in a SEG
TO_COME = "2.25.0"
# Carried over where the source has them. Of the patient what identifies, not all that may be noted about one.
TEXTS = (
    *("PatientName", "PatientID", "IssuerOfPatientID", "AccessionNumber", "StudyID", "ReferringPhysicianName"),
    *("StudyDescription", "DeidentificationMethod"),
)
SHAPES = {  # what a value must look like to be carried
    "PatientBirthDate": r"\d{8}",
    "PatientSex": r"[MFO]",
    "PatientAge": r"\d{3}[DWMY]",
    "PatientIdentityRemoved": r"YES|NO",
    "StudyDate": r"\d{8}",
    "StudyTime": r"(\d\d){1,3}|\d{6}\.\d{1,6}",
}
# Must be there, be it empty (type 2).
ALWAYS = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"),
)


def uid_of(*parts: str | bytes) -> str:
    """A UID below 2.25, made of a digest of ``parts``."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return f"2.25.{uuid.UUID(bytes=digest.digest()[:16], version=5).int}"


def finish(dataset: Any, frames: Frames) -> bytes:
    """The object as a DICOM file. ``dataset``, highdicom's, is changed: it gets the patient and study of the source,
    pinned times, and last its own UIDs, one of the series too: viewers show one structured report a series."""
    _carry(dataset, frames)
    _pin(dataset)
    _name(dataset, TO_COME, TO_COME)
    content = _bytes(dataset)
    _name(dataset, uid_of("instance", content), uid_of("series", content))
    return _bytes(dataset)


def _carry(dataset: Any, frames: Frames) -> None:
    found = {keyword: as_written(frames.head, keyword) for keyword in TEXTS}
    for keyword, shape in SHAPES.items():
        value = as_written(frames.head, keyword)
        if re.fullmatch(shape, value) and (not keyword.endswith("Date") or _is_day(value)):
            found[keyword] = value
    for keyword in {*ALWAYS, *found}:
        if found.get(keyword) or keyword in ALWAYS:
            setattr(dataset, keyword, found.get(keyword, ""))
    dataset.pop("SpecificCharacterSet", None)
    if not all(value.isascii() for value in found.values()):
        dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.StudyInstanceUID = frames.study
    if "FrameOfReferenceUID" in dataset:
        dataset.FrameOfReferenceUID = frames.frame_of_reference


def _is_day(value: str) -> bool:
    try:
        datetime.strptime(value, "%Y%m%d")
    except ValueError:
        return False
    return True


def _pin(dataset: Any) -> None:
    date, time = str(dataset.StudyDate or NO_DATE), str(dataset.StudyTime or NO_TIME)
    for event in ("InstanceCreation", "Content"):
        setattr(dataset, f"{event}Date", date)
        setattr(dataset, f"{event}Time", time)
    for item in dataset.get("ContributingEquipmentSequence", ()):
        if "ContributionDateTime" in item:
            item.ContributionDateTime = date + time
    for keyword in ("DimensionOrganizationSequence", "DimensionIndexSequence"):
        for item in dataset.get(keyword, ()):
            item.DimensionOrganizationUID = TO_COME


def _name(dataset: Any, instance: str, series: str) -> None:
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = instance
    dataset.SeriesInstanceUID = series
    for keyword in ("DimensionOrganizationSequence", "DimensionIndexSequence"):
        for item in dataset.get(keyword, ()):
            item.DimensionOrganizationUID = uid_of("dimensions", instance)


def _bytes(dataset: Any) -> bytes:
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()
