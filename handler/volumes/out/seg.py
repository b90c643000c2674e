"""Mask -> DICOM SEG on the source's own frames."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from handler.volumes.grid import Grid
from handler.volumes.out.algorithm import BRAIN, NOTICE, Algorithm, Segment, coded
from handler.volumes.out.frames import Frames, frames_of, listed, put_back, quietly, referenced, stand_ins
from handler.volumes.out.pinned import TO_COME, finish
from handler.volumes.volume import Volume
from handler.wanted import ask

KINDS = ("BINARY", "LABELMAP")
Mask = NDArray[np.bool_] | NDArray[np.uint8]
SERIES_NUMBER = 1001  # after the scanner's


def kind_for(grid: Grid) -> str:
    """BINARY is what every reader knows, but it packs the pixels of all frames into bits without a gap, and readers
    that go frame by frame lose their place where a frame does not fill its bytes: OHIF tears such a mask into stripes,
    Orthanc refuses its frames. LABELMAP, a byte a pixel, is right there at any size; dwv and itk-wasm refuse it."""
    columns, rows, _ = grid.size
    return "BINARY" if rows * columns % 16 == 0 and columns % 8 == 0 else "LABELMAP"


def encode(volume: Volume, mask: Mask, algorithm: Algorithm, kind: str | None = None) -> bytes:
    """``mask``: bool, or uint8 with the numbers of the algorithm's segments, (slices, rows, columns) on the volume's
    grid -> a DICOM file with a segment each.

    All frames are kept, empty ones too: several readers place a mask wrongly when frames are left out. Each has its
    plane position and a derivation that names its source. ``kind``: one of :data:`KINDS`, by :func:`kind_for` where
    None. Equal arguments give equal bytes (:mod:`handler.volumes.out.pinned`).

    Raises ``not_acceptable`` as :func:`~handler.volumes.out.frames.frames_of` does, ValueError for a mask of another
    shape or an unknown kind.
    """
    with quietly():
        return finish(*_unfinished(volume, mask, algorithm, kind or kind_for(volume.grid)))


def _unfinished(volume: Volume, mask: Mask, algorithm: Algorithm, kind: str) -> tuple[Any, Frames]:
    if mask.shape != volume.grid.shape:
        raise ValueError(f"a mask of shape {mask.shape} on a grid of {volume.grid.shape}")
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r}: expected one of {', '.join(KINDS)}")
    frames = frames_of(volume)
    from highdicom.seg import Segmentation

    dataset = Segmentation(
        source_images=stand_ins(volume, frames),
        pixel_array=np.ascontiguousarray(mask, np.uint8),
        segmentation_type=kind,
        segment_descriptions=[_described(segment, algorithm) for segment in algorithm.segments],
        series_instance_uid=TO_COME,
        series_number=SERIES_NUMBER,
        series_description=f"{algorithm.label}: tumor, research use only"[:64],
        sop_instance_uid=TO_COME,
        instance_number=1,
        manufacturer="BrainSeg",
        manufacturer_model_name=algorithm.name,
        software_versions=algorithm.version,
        device_serial_number="software",
        content_label="TUMOR",
        content_description=NOTICE,
        omit_empty_frames=False,
    )
    if kind == "LABELMAP":
        # A label map describes its background too, and readers that go by the place in the list (OHIF 3.13.2) take each
        # segment's colour from the one before it, unless the background comes last.
        background, *segments = dataset.SegmentSequence
        dataset.SegmentSequence = [*segments, background]
    ask()
    put_back(dataset, frames)
    by_series = frames.by_series()
    dataset.SourceImageSequence = listed([reference for found in by_series.values() for reference in found])
    dataset.ReferencedSeriesSequence = [
        referenced(uid, found, "ReferencedInstanceSequence") for uid, found in by_series.items()
    ]
    return dataset, frames


def _described(segment: Segment, algorithm: Algorithm) -> Any:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentDescription
    from pydicom.sr.codedict import codes

    return SegmentDescription(
        segment_number=segment.number,
        segment_label=segment.label,
        segmented_property_category=coded(segment.category),
        segmented_property_type=coded(segment.type),
        algorithm_type="AUTOMATIC",
        algorithm_identification=AlgorithmIdentificationSequence(
            name=algorithm.name,
            family=codes.DCM.ArtificialIntelligence,
            version=algorithm.version,
            source="BrainSeg",
            parameters=dict(algorithm.settings) or None,
        ),
        anatomic_regions=[coded(BRAIN)],
        display_color=CIELabColor.from_rgb(*segment.rgb) if segment.rgb else CIELabColor(*segment.color),
    )
