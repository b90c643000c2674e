"""Rules of a DICOM SEG that dciodvfy and dcmqi's readers do not look at, and without which viewers lay it elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from pydicom import Dataset

TOLERANCE_MM = 1e-3


def places_of(datasets: Sequence[Dataset]) -> dict[tuple[str, int | None], np.ndarray]:
    """Of each frame of a source, by object and frame number."""
    places: dict[tuple[str, int | None], np.ndarray] = {}
    for dataset in datasets:
        if "NumberOfFrames" not in dataset:
            places[dataset.SOPInstanceUID, None] = np.array(dataset.ImagePositionPatient, float)
            continue
        for number, group in enumerate(dataset.PerFrameFunctionalGroupsSequence, 1):
            position = group.PlanePositionSequence[0].ImagePositionPatient
            places[dataset.SOPInstanceUID, number] = np.array(position, float)
    return places


def broken(seg: Dataset, sources: Sequence[Dataset], slices: int) -> list[str]:
    """Which rules ``seg`` breaks, against all objects of its source; ``slices`` of them make the volume."""
    return [*_head(seg, sources), *_frames(seg, sources, slices), *_spacing(seg), *_pixels(seg), *_segments(seg)]


def _head(seg: Dataset, sources: Sequence[Dataset]) -> Iterator[str]:
    for keyword in ("FrameOfReferenceUID", "StudyInstanceUID", "PatientID", "PatientName"):
        if seg.get(keyword) != sources[0].get(keyword):
            yield f"{keyword} is not the source's"
    listed = {
        (series.SeriesInstanceUID, item.ReferencedSOPInstanceUID)
        for series in seg.get("ReferencedSeriesSequence", ())
        for item in series.ReferencedInstanceSequence
    }
    if listed != {(source.SeriesInstanceUID, source.SOPInstanceUID) for source in sources}:
        yield "ReferencedSeriesSequence does not list the source"
    if (seg.Rows, seg.Columns) != (sources[0].Rows, sources[0].Columns):
        yield "rows and columns are not the source's"


def _frames(seg: Dataset, sources: Sequence[Dataset], slices: int) -> Iterator[str]:
    places = places_of(sources)
    classes = {source.SOPInstanceUID: source.SOPClassUID for source in sources}
    groups = seg.PerFrameFunctionalGroupsSequence
    wanted = slices * (len(seg.SegmentSequence) if seg.SegmentationType == "BINARY" else 1)
    if not len(groups) == seg.NumberOfFrames == wanted:
        yield f"{len(groups)} frames for {slices} slices and {len(seg.SegmentSequence)} segments"
    used = set()
    for number, group in enumerate(groups, 1):
        position = group.get("PlanePositionSequence") or ()
        derivation = group.get("DerivationImageSequence") or ()
        origin = (derivation[0].get("SourceImageSequence") or ()) if len(derivation) == 1 else ()
        if len(position) != 1 or "ImagePositionPatient" not in position[0]:
            yield f"frame {number} has no plane position"
        if len(origin) != 1:
            yield f"frame {number} has no derivation that names one source"
        if len(position) != 1 or len(origin) != 1:
            continue
        key = (origin[0].ReferencedSOPInstanceUID, origin[0].get("ReferencedFrameNumber"))
        identified = group.get("SegmentIdentificationSequence")
        used.add((*key, identified[0].ReferencedSegmentNumber if identified else None))
        if key not in places:
            yield f"frame {number} names a source that is not there"
        elif np.abs(places[key] - np.array(position[0].ImagePositionPatient, float)).max() > TOLERANCE_MM:
            yield f"frame {number} lies elsewhere than its source"
        elif origin[0].ReferencedSOPClassUID != classes[key[0]]:
            yield f"frame {number} names its source by another class"
    if len(used) < len(groups):
        yield "two frames name one source"


def _spacing(seg: Dataset) -> Iterator[str]:
    shared = seg.SharedFunctionalGroupsSequence[0]
    groups = [group for group in seg.PerFrameFunctionalGroupsSequence if group.get("PlanePositionSequence")]
    cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    normal = np.cross(cosines[:3], cosines[3:])
    places = [normal @ np.array(g.PlanePositionSequence[0].ImagePositionPatient, float) for g in groups]
    along = np.unique(np.round(places, 6))  # of several segments each plane comes as often
    stated = shared.PixelMeasuresSequence[0].get("SpacingBetweenSlices")
    if len(along) > 1 and (stated is None or abs(float(stated) - np.diff(along).mean()) > TOLERANCE_MM):
        yield "SpacingBetweenSlices is not the distance of the planes"


def _pixels(seg: Dataset) -> Iterator[str]:
    bits = seg.Rows * seg.Columns * int(seg.NumberOfFrames) * seg.BitsAllocated
    if len(seg.PixelData) != (bits + 15) // 16 * 2:
        yield "the pixels are not as many as the frames need"
    if seg.SegmentationType not in ("BINARY", "LABELMAP"):
        yield f"{seg.SegmentationType}: OHIF throws at real fractions"


def _segments(seg: Dataset) -> Iterator[str]:
    for segment in seg.SegmentSequence:
        if segment.SegmentNumber == 0:
            continue
        for keyword in ("SegmentedPropertyCategoryCodeSequence", "SegmentedPropertyTypeCodeSequence"):
            if not segment.get(keyword):
                yield f"segment {segment.SegmentNumber} has no {keyword}"
        algorithm = segment.get("SegmentationAlgorithmIdentificationSequence") or [Dataset()]
        if not algorithm[0].get("AlgorithmName") or not algorithm[0].get("AlgorithmVersion"):
            yield f"segment {segment.SegmentNumber} does not say which algorithm made it"
