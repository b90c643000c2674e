"""An instance -> its frames: where each lies, how it is scaled, and what may tell it from others at the same place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from handler.volumes.dicom.files import Instance
from handler.volumes.dicom.pixels import MOST_FRAMES
from handler.volumes.dicom.values import Budget, exactly, first, items, number, text, texts, unreadable, value, whole
from handler.volumes.volume import Acquisition

# Classic, Enhanced, and Enhanced made of classic.
MR_CLASSES = ("1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.4.4")
COMPLEX = {"M", "M_FFE", "M_SE", "M_IR", "MAGNITUDE", "P", "PHASE", "PHASE MAP", "R", "REAL", "I", "IMAGINARY"}
NO_PLAIN_IMAGE = {"P", "PHASE", "PHASE MAP", "LOCALIZER", "ADC", "TRACEW", "FA", "PROJECTION IMAGE", "MIP", "MINIP"}
NO_AGENT = {"no", "none", "n", "0", "off", "without", "na", "n/a", "nein", "no contrast"}
TEMPORAL = "TemporalPositionIdentifier"
Keys = tuple[tuple[str, object], ...]


@dataclass(frozen=True)
class Frame:
    """``instance``: index among the instances. ``file``: the file's place in the upload, from 1. ``frame``: in it, from
    1; ``of``: how many it has. ``position``: of the first pixel's middle; ``orientation``: along a row, then down a
    column; both LPS. ``spacing``: between rows, between columns, mm. All None where the file does not say.
    ``apart``: what differs only between volumes. ``perhaps``: what may differ within one volume too."""

    instance: int
    file: int
    frame: int
    of: int
    rows: int
    columns: int
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    spacing: tuple[float, ...] | None
    detector_spacing: bool
    thickness: float | None
    slope: float
    intercept: float
    series: str | None
    series_number: float | None
    apart: Keys
    perhaps: Keys
    acquisition: Acquisition


def is_mr(instance: Instance) -> bool:
    """By its class; by its modality where the class is missing."""
    sop_class = text(instance.dataset, "SOPClassUID")
    return sop_class in MR_CLASSES if sop_class else text(instance.dataset, "Modality") == "MR"


class _Groups:
    """The functional groups of a frame: its own before the shared ones. For a classic object there are none, and
    everything stands at the top."""

    def __init__(self, dataset: Any, shared: Any, own: Any, budget: Budget) -> None:
        self.dataset = dataset
        self._nested = (own, shared)
        self._budget = budget

    @property
    def enhanced(self) -> bool:
        return any(group is not None for group in self._nested)

    def of(self, sequence: str) -> Any:
        if not self.enhanced:
            return self.dataset
        found = (first(group, sequence, self._budget) for group in self._nested)
        return next((item for item in found if item is not None), None)


def _time(found: float | None) -> float | None:
    """0 stands for "not used"."""
    return found if found else None


def _image_type(groups: _Groups) -> tuple[str, ...]:
    frame_type = texts(groups.of("MRImageFrameTypeSequence"), "FrameType") if groups.enhanced else ()
    return frame_type or texts(groups.dataset, "ImageType")


def _contrast(groups: _Groups, budget: Budget) -> bool | None:
    if items(groups.dataset, "ContrastBolusAgentSequence", budget):
        return True
    agent = text(groups.dataset, "ContrastBolusAgent")
    return agent.lower() not in NO_AGENT if agent else None


def _gradient_echo(groups: _Groups) -> bool | None:
    if groups.enhanced:
        pulse = text(groups.dataset, "EchoPulseSequence")
        return pulse == "GRADIENT" if pulse else None
    kinds = texts(groups.dataset, "ScanningSequence")
    return "GR" in kinds and "SE" not in kinds if kinds else None


def _acquisition(groups: _Groups, budget: Budget, part: str, reference: str | None) -> Acquisition:
    dataset, timing, echo = groups.dataset, "MRTimingAndRelatedParametersSequence", "MREchoSequence"
    kinds = {kind.upper() for kind in _image_type(groups)[2:]}
    diffusion = groups.of("MRDiffusionSequence")
    modifier = groups.of("MRModifierSequence")
    described = [text(dataset, keyword) for keyword in ("SeriesDescription", "ProtocolName")]
    return Acquisition(
        modality="MR",
        echo_ms=_time(number(groups.of(echo), "EffectiveEchoTime" if groups.enhanced else "EchoTime")),
        repetition_ms=_time(number(groups.of(timing), "RepetitionTime")),
        inversion_ms=_time(number(modifier, "InversionTimes" if groups.enhanced else "InversionTime")),
        contrast_agent=_contrast(groups, budget),
        description=" ".join(part for part in described if part) or None,
        frame_of_reference=reference,
        name=part,
        gradient_echo=_gradient_echo(groups),
        no_plain_image=bool(kinds & NO_PLAIN_IMAGE)
        or bool(number(diffusion, "DiffusionBValue"))
        or text(dataset, "AngioFlag") == "Y",
    )


def _as_written(dataset: Any, keyword: str) -> object:
    """Any value, to be told apart from others."""
    found = value(dataset, keyword)
    return None if found is None else str(found)


def _apart(groups: _Groups, acquisition: Acquisition) -> Keys:
    kinds = {kind.upper() for kind in _image_type(groups)[2:]} & COMPLEX
    content = groups.of("FrameContentSequence")
    part = text(groups.of("MRImageFrameTypeSequence"), "ComplexImageComponent")
    return (
        ("frame of reference", acquisition.frame_of_reference),
        ("echo time", None if acquisition.echo_ms is None else round(acquisition.echo_ms, 2)),
        ("inversion time", None if acquisition.inversion_ms is None else round(acquisition.inversion_ms)),
        ("echo number", _as_written(groups.dataset, "EchoNumbers")),
        ("magnitude or phase", (part if part != "MIXED" else None, *sorted(kinds))),
        ("point in time", _as_written(content, "TemporalPositionIndex" if groups.enhanced else TEMPORAL)),
        ("diffusion weighting", _as_written(groups.of("MRDiffusionSequence"), "DiffusionBValue")),
        ("stack", text(content, "StackID")),
    )


def _perhaps(groups: _Groups, instance: Instance, frames: int, acquisition: Acquisition) -> Keys:
    content, dataset = groups.of("FrameContentSequence"), groups.dataset
    acquired = "FrameAcquisitionNumber" if groups.enhanced else "AcquisitionNumber"
    return (
        ("acquisition number", _as_written(content, acquired)),
        ("image type", _image_type(groups)),
        ("repetition time", acquisition.repetition_ms),
        ("series number", _as_written(dataset, "SeriesNumber")),
        ("trigger time", _as_written(dataset, "TriggerTime")),
        ("flip angle", _as_written(dataset, "FlipAngle")),
        ("acquisition time", _as_written(dataset, "AcquisitionTime")),
        ("file", instance.number if frames > 1 else None),
    )


def _frame(index: int, instance: Instance, place: int, count: int, groups: _Groups, budget: Budget, part: str) -> Frame:
    dataset = groups.dataset
    orientation, measures = groups.of("PlaneOrientationSequence"), groups.of("PixelMeasuresSequence")
    scaling = groups.of("PixelValueTransformationSequence")
    slope, intercept = number(scaling, "RescaleSlope"), number(scaling, "RescaleIntercept")
    if slope == 0:
        raise unreadable("RescaleSlope")
    acquisition = _acquisition(groups, budget, part, text(dataset, "FrameOfReferenceUID"))
    spacing = exactly(measures, "PixelSpacing", 2)
    return Frame(
        instance=index,
        file=instance.number,
        frame=place,
        of=count,
        rows=whole(dataset, "Rows", 0),
        columns=whole(dataset, "Columns", 0),
        position=exactly(groups.of("PlanePositionSequence"), "ImagePositionPatient", 3),
        orientation=exactly(orientation, "ImageOrientationPatient", 6),
        spacing=spacing,
        detector_spacing=spacing is None and value(dataset, "ImagerPixelSpacing") is not None,
        thickness=number(measures, "SliceThickness"),
        slope=1.0 if slope is None else slope,
        intercept=intercept or 0.0,
        series=text(dataset, "SeriesInstanceUID"),
        series_number=number(dataset, "SeriesNumber"),
        apart=_apart(groups, acquisition),
        perhaps=_perhaps(groups, instance, count, acquisition),
        acquisition=acquisition,
    )


def frames_of(index: int, instance: Instance, budget: Budget, part: str) -> Iterator[Frame]:
    """One for a classic object, one for each item of the per-frame functional groups of an Enhanced one."""
    dataset = instance.dataset
    own = items(dataset, "PerFrameFunctionalGroupsSequence", budget)
    count = whole(dataset, "NumberOfFrames", 1)
    if not own and count == 1:
        yield _frame(index, instance, 1, 1, _Groups(dataset, None, None, budget), budget, part)
        return
    if len(own) != count or count > MOST_FRAMES:
        raise unreadable("PerFrameFunctionalGroupsSequence")
    shared = first(dataset, "SharedFunctionalGroupsSequence", budget)
    for place, groups in enumerate(own, 1):
        yield _frame(index, instance, place, count, _Groups(dataset, shared, groups, budget), budget, part)
