"""Measurements -> structured reports of template TID 1500, each an object and a series of its own.

Two, because of OHIF: it draws a diameter where it stands alone as a line on its source image, draws nothing of one in
space (SCOORD3D), and shows neither where a volume on a segment stands in the same report.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from handler.labels import Code
from handler.volumes.lesions import Lesion, Lesions
from handler.volumes.out.algorithm import BRAIN, NEOPLASM, NOTICE, Algorithm, Segment, coded
from handler.volumes.out.frames import (
    Frames,
    Reference,
    frames_of,
    put_back,
    quietly,
    referenced,
    stand_ins,
)
from handler.volumes.out.pinned import TO_COME, finish, uid_of
from handler.volumes.volume import Volume

DIAMETERS, VOLUME = "sr-diameters.dcm", "sr-volume.dcm"
SERIES_NUMBERS = {DIAMETERS: 1002, VOLUME: 1003}
MR_BRAIN = Code("24590-2", "LN", "MR Brain")
LONG_AXIS = Code("103339001", "SCT", "Long Axis")
VOLUME_OF = Code("118565006", "SCT", "Volume")
MILLIMETRES, MILLILITRES = Code("mm", "UCUM", "millimeter"), Code("mL", "UCUM", "milliliter")


def encode(
    volume: Volume, lesions: Lesions, volumes_ml: Sequence[float], segmentation: bytes, algorithm: Algorithm
) -> dict[str, bytes]:
    """File names -> DICOM files. ``lesions``: of the mask in ``segmentation``, the SEG of
    :func:`handler.volumes.out.seg.encode`; ``volumes_ml``: of the algorithm's segments, in their order.

    The volume of each segment, on it; and, where there is one, the longest diameter of each lesion, of whatever
    segments, as a line on its source image, its ends in the middle of pixels. Equal arguments give equal bytes. Raises
    ``not_acceptable`` as :func:`~handler.volumes.out.frames.frames_of` does.
    """
    from pydicom import dcmread

    with quietly():
        frames = frames_of(volume)
        images = stand_ins(volume, frames)
        seg = dcmread(io.BytesIO(segmentation), stop_before_pixels=True)
        made = {}
        # A lesion of one voxel a slice has no diameter to draw.
        drawn = {number: lesion for number, lesion in enumerate(lesions.found, 1) if lesion.longest_mm > 0}
        if drawn:
            of = str(seg.SOPInstanceUID)
            groups = [_diameter(number, lesion, images, of, algorithm) for number, lesion in drawn.items()]
            slices = tuple(lesion.diameter.slice for lesion in drawn.values())
            made[DIAMETERS] = _report(DIAMETERS, groups, frames, frames.by_series(slices), images, algorithm)
        groups = [
            _on_segment(segment, millilitres, seg, images, frames, algorithm)
            for segment, millilitres in zip(algorithm.segments, volumes_ml, strict=True)
        ]
        listed = frames.by_series()
        listed[str(seg.SeriesInstanceUID)] = [_of(seg)]
        made[VOLUME] = _report(VOLUME, groups, frames, listed, [*images, seg], algorithm)
        return made


def _of(seg: Any) -> Reference:
    return Reference(str(seg.SOPClassUID), str(seg.SOPInstanceUID), str(seg.SeriesInstanceUID), None)


def _diameter(number: int, lesion: Lesion, images: list[Any], of: str, algorithm: Algorithm) -> Any:
    from highdicom.sr import (
        CoordinatesForMeasurement,
        FindingSite,
        Measurement,
        MeasurementsAndQualitativeEvaluations,
        SourceImageForRegion,
        TrackingIdentifier,
    )

    image = images[lesion.diameter.slice]
    # Columns and rows from the outer corner of the first pixel, so its middle is 0.5, 0.5 (PS3.3 C.18.6.1.2).
    ends = np.array([lesion.diameter.start[::-1], lesion.diameter.end[::-1]], float) + 0.5
    line = CoordinatesForMeasurement("POLYLINE", ends, SourceImageForRegion(image.SOPClassUID, image.SOPInstanceUID))
    length = round(lesion.longest_mm, 3)
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid_of("lesion", of, str(number)), f"Lesion {number}"),
        finding_type=coded(NEOPLASM),
        finding_sites=[FindingSite(coded(BRAIN))],
        algorithm_id=_identified(algorithm),
        measurements=[Measurement(coded(LONG_AXIS), length, coded(MILLIMETRES), referenced_coordinates=[line])],
    )


def _on_segment(
    segment: Segment, millilitres: float, seg: Any, images: list[Any], frames: Frames, algorithm: Algorithm
) -> Any:
    from highdicom.sr import (
        FindingSite,
        Measurement,
        ReferencedSegment,
        SourceImageForSegmentation,
        SourceSeriesForSegmentation,
        TrackingIdentifier,
        VolumetricROIMeasurementsAndQualitativeEvaluations,
    )

    series = {reference.series for reference in frames.references}
    if len(series) == 1:
        source: dict[str, Any] = {"source_series": SourceSeriesForSegmentation(*series)}
    else:
        source = {"source_images": [SourceImageForSegmentation(i.SOPClassUID, i.SOPInstanceUID) for i in images]}
    tracked = [str(seg.SOPInstanceUID), *([str(segment.number)] if len(algorithm.segments) > 1 else [])]
    # By hand: ReferencedSegment.from_segmentation fails on a file with one segment (highdicom 0.28.2).
    where = ReferencedSegment(seg.SOPClassUID, seg.SOPInstanceUID, segment.number, **source)
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid_of("segment", *tracked), segment.label),
        referenced_segment=where,
        finding_type=coded(segment.type),
        finding_sites=[FindingSite(coded(BRAIN))],
        algorithm_id=_identified(algorithm),
        measurements=[Measurement(coded(VOLUME_OF), round(millilitres, 4), coded(MILLILITRES))],
    )


def _identified(algorithm: Algorithm) -> Any:
    from highdicom.sr import AlgorithmIdentification

    parameters = [f"{name}={value}" for name, value in algorithm.settings]
    return AlgorithmIdentification(algorithm.name, algorithm.version, parameters=[*parameters, NOTICE])


def _report(
    name: str,
    groups: list[Any],
    frames: Frames,
    listed: dict[str, list[Reference]],
    evidence: list[Any],
    algorithm: Algorithm,
) -> bytes:
    from highdicom.sr import (
        ComprehensiveSR,
        DeviceObserverIdentifyingAttributes,
        MeasurementReport,
        ObservationContext,
        ObserverContext,
    )
    from pydicom import Dataset
    from pydicom.sr.codedict import codes

    observer = DeviceObserverIdentifyingAttributes(
        uid_of("device", algorithm.name, algorithm.version), algorithm.name, "BrainSeg", algorithm.label
    )
    content = MeasurementReport(
        observation_context=ObservationContext(ObserverContext(codes.DCM.Device, observer)),
        procedure_reported=coded(MR_BRAIN),
        imaging_measurements=groups,
    )
    report = ComprehensiveSR(
        evidence=evidence,
        record_evidence=False,
        content=content[0],
        series_instance_uid=TO_COME,
        series_number=SERIES_NUMBERS[name],
        series_description=f"{algorithm.label}: {name[3:-4]}, research use only"[:64],
        sop_instance_uid=TO_COME,
        instance_number=1,
        manufacturer="BrainSeg",
        manufacturer_model_name=algorithm.name,
        software_versions=algorithm.version,
        device_serial_number="software",
        is_complete=True,
        is_final=False,
        is_verified=False,
    )
    put_back(report, frames)
    study = Dataset()
    study.StudyInstanceUID = frames.study
    study.ReferencedSeriesSequence = [referenced(uid, found, "ReferencedSOPSequence") for uid, found in listed.items()]
    report.CurrentRequestedProcedureEvidenceSequence = [study]
    return finish(report, frames)
