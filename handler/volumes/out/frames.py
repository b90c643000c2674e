"""What a DICOM mask refers to: the source's frames, and the patient and study that it belongs to.

highdicom is not shown the source's datasets but stand-ins with what it needs and no more. It copies the source's
SpacingBetweenSlices over the measures that it is given, whatever that tag says; it takes one Enhanced object at most;
it logs a patient's name that it finds odd. The stand-ins carry the spacing of the positions, are one classic image a
slice, and name no patient. :func:`put_back` sets the true references in what comes out.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handler.errors import RequestError
from handler.volumes.dicom.written import as_written
from handler.volumes.grid import Grid
from handler.volumes.volume import DicomSource, Volume

STAND_IN_CLASS = "1.2.840.10008.5.1.4.1.1.4"  # MR Image Storage
STAND_IN = "2.25."  # and the slice's number
LOCAL = "2.25.1"  # study, series and frame of reference of the stand-ins
# Digits and dots are all that is asked for: leading zeros are common, and to be repeated as they are.
UID = re.compile(r"[0-9.]{1,64}")


@dataclass(frozen=True)
class Reference:
    """Of a slice. ``frame``: counted from 1, None for an object of one frame."""

    sop_class: str
    sop_instance: str
    series: str
    frame: int | None


@dataclass(frozen=True, eq=False)
class Frames:
    """``references``: one a slice, in the volume's order. ``positions``: (slices, 3), LPS, in millimetres, as the
    source states them. ``head``: the dataset that patient and study are read from."""

    references: tuple[Reference, ...]
    positions: NDArray[np.float64]
    study: str
    frame_of_reference: str
    head: Any

    def by_series(self, slices: tuple[int, ...] | None = None) -> dict[str, list[Reference]]:
        """Each object once, by its series; of ``slices`` only where given."""
        series: dict[str, list[Reference]] = {}
        seen: set[str] = set()
        for index in range(len(self.references)) if slices is None else slices:
            reference = self.references[index]
            if reference.sop_instance not in seen:
                seen.add(reference.sop_instance)
                series.setdefault(reference.series, []).append(reference)
        return series


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """No warnings of pydicom about values: they quote them, and the values are a patient's."""
    from pydicom import config

    with config.disable_value_validation():
        yield


def frames_of(volume: Volume) -> Frames:
    """Raises ``not_acceptable`` where a DICOM object cannot refer to the source: it is no DICOM, or lacks the UIDs that
    a reference consists of. The mask as NIfTI needs none of them."""
    if not isinstance(volume.source, DicomSource):
        raise _refused("A DICOM mask refers to DICOM images, and the scan came as NIfTI.")
    with quietly():
        return _frames(volume.source, volume.grid)


def _frames(source: DicomSource, grid: Grid) -> Frames:
    references = tuple(_reference(source, index) for index in range(len(source.frames)))
    heads = [source.datasets[frame.dataset] for frame in source.frames]
    studies = {_uid(head, "StudyInstanceUID", index) for index, head in enumerate(heads)}
    if len(studies) > 1:
        raise _refused(f"The slices name {len(studies)} studies; a DICOM mask belongs to one.")
    if len({(r.sop_instance, r.frame) for r in references}) < len(references):
        raise _refused("Several slices have the same SOPInstanceUID, so a reference to one would be ambiguous.")
    return Frames(
        references=references,
        positions=np.array([_position(source, grid, index) for index in range(len(references))]),
        study=studies.pop(),
        frame_of_reference=_uid(heads[0], "FrameOfReferenceUID", 0),
        head=heads[0],
    )


def _refused(why: str) -> RequestError:
    return RequestError(
        "not_acceptable", f"{why} Ask for application/x-nifti, or send the series as it left the scanner."
    )


def _uid(dataset: Any, keyword: str, index: int) -> str:
    value = as_written(dataset, keyword)
    if not UID.fullmatch(value):
        raise _refused(f"Slice {index} has {'no valid' if value else 'no'} {keyword}, which a DICOM mask must repeat.")
    return value


def _reference(source: DicomSource, index: int) -> Reference:
    frame = source.frames[index]
    dataset = source.datasets[frame.dataset]
    return Reference(
        sop_class=_uid(dataset, "SOPClassUID", index),
        sop_instance=_uid(dataset, "SOPInstanceUID", index),
        series=_uid(dataset, "SeriesInstanceUID", index),
        frame=frame.frame if "NumberOfFrames" in dataset else None,
    )


def _position(source: DicomSource, grid: Grid, index: int) -> NDArray[np.float64]:
    """The source's own ImagePositionPatient, to the last digit; the grid's where that cannot be read."""
    try:
        found = _stated_position(source, index)
    except Exception:  # pydicom converts when asked, and a broken value raises whatever its conversion does
        found = None
    if found is not None and found.shape == (3,) and np.isfinite(found).all():
        return found
    return grid.affine_lps[:3, :3] @ (0, 0, index) + grid.affine_lps[:3, 3]


def _stated_position(source: DicomSource, index: int) -> NDArray[np.float64] | None:
    frame = source.frames[index]
    dataset = source.datasets[frame.dataset]
    holders = [dataset]
    for name, item in (("PerFrameFunctionalGroupsSequence", frame.frame - 1), ("SharedFunctionalGroupsSequence", 0)):
        groups = dataset.get(name) or ()
        if item < len(groups):
            holders[:0] = list(groups[item].get("PlanePositionSequence") or ())[:1]
    for holder in holders:
        if "ImagePositionPatient" in holder:
            return np.array([float(value) for value in holder.ImagePositionPatient])
    return None


def stand_ins(volume: Volume, frames: Frames) -> list[Any]:
    """A classic image for each slice, in the volume's order."""
    from pydicom import Dataset
    from pydicom.valuerep import DSfloat

    def numbers(values: Any) -> list[Any]:
        return [DSfloat(float(value), auto_format=True) for value in values]

    columns = volume.grid.affine_lps[:3, :3] / np.array(volume.grid.spacing_mm)
    normal = np.cross(columns[:, 0], columns[:, 1])
    between = abs(float(normal @ volume.grid.affine_lps[:3, 2]))
    thickness = _thickness(frames.head) or between
    lossy = as_written(frames.head, "LossyImageCompression") == "01"
    made = []
    for index, position in enumerate(frames.positions):
        image = Dataset()
        image.SOPClassUID, image.SOPInstanceUID = STAND_IN_CLASS, f"{STAND_IN}{index + 2}"
        image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = LOCAL, LOCAL, LOCAL
        image.Modality, image.InstanceNumber = "MR", index + 1
        image.Columns, image.Rows, _ = volume.grid.size
        image.PixelSpacing = numbers((volume.grid.spacing_mm[1], volume.grid.spacing_mm[0]))
        image.SliceThickness, image.SpacingBetweenSlices = numbers((thickness, between))
        image.ImageOrientationPatient = numbers((*columns[:, 0], *columns[:, 1]))
        image.ImagePositionPatient = numbers(position)
        for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex"):
            setattr(image, keyword, "")
        image.AccessionNumber = image.StudyID = image.StudyDate = image.StudyTime = ""
        if lossy:
            image.LossyImageCompression = "01"  # once lossy, always lossy: the mask says so too
        made.append(image)
    return made


def _thickness(dataset: Any) -> float | None:
    """As stated, None where it is not, is no length or cannot be read."""
    holders = [dataset]
    for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        with contextlib.suppress(Exception):  # pydicom reads when asked, and raises whatever its reading does
            for group in (dataset.get(name) or ())[:1]:
                holders[:0] = list(group.get("PixelMeasuresSequence") or ())[:1]
    for holder in holders:
        with contextlib.suppress(Exception):
            value = float(holder.get("SliceThickness"))
            if np.isfinite(value) and value > 0:
                return value
    return None


def put_back(dataset: Any, frames: Frames) -> None:
    """Sets the true class, instance and frame number wherever ``dataset`` refers to an MR image: before this, all of
    them are stand-ins."""
    referring = [
        (item, int(item.ReferencedSOPInstanceUID[len(STAND_IN) :]) - 2)
        for item in _items(dataset)
        if item.get("ReferencedSOPClassUID") == STAND_IN_CLASS
    ]
    for item, index in referring:  # found first, then set: highdicom puts one item into several sequences
        reference = frames.references[index]
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = reference.sop_class, reference.sop_instance
        if reference.frame is not None:
            item.ReferencedFrameNumber = reference.frame


def _items(dataset: Any) -> Iterator[Any]:
    """``dataset`` and everything in its sequences."""
    yield dataset
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _items(item)


def listed(references: list[Reference]) -> list[Any]:
    """Items that name whole objects."""
    from pydicom import Dataset

    made = []
    for reference in references:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = reference.sop_class, reference.sop_instance
        made.append(item)
    return made


def referenced(series: str, references: list[Reference], members: str) -> Any:
    """An item that names ``references`` as those of a series. ``members``: the keyword they stand under."""
    from pydicom import Dataset

    item = Dataset()
    item.SeriesInstanceUID = series
    setattr(item, members, listed(references))
    return item
