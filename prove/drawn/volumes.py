"""Volumes drawn in code: NIfTI and DICOM with landmarks, in any orientation, and broken on purpose.

A phantom is `Phantom`: int16 voxels (slices, rows, columns) on an affine (i, j, k -> mm, RAS+), with a bright voxel at
each landmark. The writers take it and give bytes; what they write never holds a real name, but :data:`SENTINEL`, which
no answer, error or log may ever hold."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import nibabel
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import UID, EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from prove.drawn.frames import (
    COMPRESSED,
    JPEG_2000,
    JPEG_BASELINE,
    JPEG_EXTENDED,
    JPEG_LOSSLESS,
    JPEG_LS,
    RLE,
    encoded,
    set_pixels,
)
from prove.drawn.scan import ORIENTATIONS, SENTINEL, Phantom, brightest, phantom, rotation

__all__ = [
    "COMPRESSED", "JPEG_2000", "JPEG_BASELINE", "JPEG_EXTENDED", "JPEG_LOSSLESS", "JPEG_LS", "ORIENTATIONS",
    "RLE", "SENTINEL", "TIMES", "Change", "Phantom", "brightest", "dicom_enhanced", "dicom_series", "dicom_zip",
    "encoded", "file_of", "nifti", "phantom", "place_slice", "rotation", "uid", "zipped",
]  # fmt: skip

# --- NIfTI -----------------------------------------------------------------------------------------------------------


def nifti(
    scan: Phantom,
    *,
    version: int = 1,
    packed: bool = False,
    big_endian: bool = False,
    dtype: str = "int16",
    sform: tuple[NDArray[np.float64], int] | None = None,
    qform: tuple[NDArray[np.float64], int] | None = None,
    unit: int = 2,
    slope: float | None = None,
    intercept: float = 0.0,
    trailing: int = 0,
    fields: Mapping[str, object] | None = None,
) -> bytes:
    """A whole file. ``sform``, ``qform``: (affine, code), by default both the phantom's with code 1, the numbers in
    ``unit`` (1 metres, 2 mm, 3 microns). ``fields``: set in the header last, whatever they break."""
    kind: Any = nibabel.Nifti1Header if version == 1 else nibabel.Nifti2Header
    header: Any = kind(endianness=">" if big_endian else "<")
    voxels = scan.voxels.transpose(2, 1, 0)
    voxels = voxels.reshape(voxels.shape + (1,) * trailing)
    header.set_data_dtype(np.dtype(dtype))
    header.set_data_shape(voxels.shape)
    scale = np.diag([{1: 1e-3, 3: 1e3}.get(unit, 1.0)] * 3 + [1.0])
    affine, code = qform or (scan.affine, 1)
    header.set_qform(scale @ affine, code)
    affine, code = sform or (scan.affine, 1)
    header.set_sform(scale @ affine, code)
    header["xyzt_units"] = unit
    header["scl_slope"] = 1.0 if slope is None else slope
    header["scl_inter"] = intercept
    header["vox_offset"] = 352 if version == 1 else 544
    header["magic"] = b"n+1" if version == 1 else b"n+2"
    header["descrip"] = SENTINEL.encode()
    header["aux_file"] = SENTINEL.encode()
    for name, value in (fields or {}).items():
        header[name] = value
    raw = voxels.astype(header.get_data_dtype() if "datatype" not in (fields or {}) else dtype).tobytes(order="F")
    data = bytes(header.binaryblock) + bytes(4) + raw
    return gzip.compress(data, mtime=0) if packed else data


def zipped(files: Iterable[tuple[str, bytes]], stored: bool = False) -> bytes:
    """A zip of (name, bytes), dates fixed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED) as archive:
        for name, data in files:
            info = zipfile.ZipInfo(name)
            info.compress_type = archive.compression
            archive.writestr(info, data)
    return buffer.getvalue()


# --- DICOM -----------------------------------------------------------------------------------------------------------

# Times in milliseconds by which a sequence is recognised.
TIMES: dict[str, dict[str, object]] = {
    "flair": {"EchoTime": 120.0, "RepetitionTime": 9000.0, "InversionTime": 2500.0, "ScanningSequence": ["SE", "IR"]},
    "t1": {"EchoTime": 9.0, "RepetitionTime": 550.0, "ScanningSequence": "SE"},
    "t1c": {"EchoTime": 9.0, "RepetitionTime": 550.0, "ScanningSequence": "SE", "ContrastBolusAgent": "Gadovist"},
    "t2": {"EchoTime": 95.0, "RepetitionTime": 4000.0, "ScanningSequence": "SE"},
}
Change = Callable[[int, Dataset], None]


def uid(*parts: object) -> str:
    """The same for the same parts."""
    return generate_uid(entropy_srcs=[str(part) for part in parts])


def _patient(dataset: Dataset) -> None:
    """Every text element an ordinary scanner fills, with the sentinel."""
    for keyword in (
        "PatientName", "PatientID", "PatientComments", "InstitutionName", "ReferringPhysicianName", "OperatorsName",
        "StudyDescription", "ImageComments", "AccessionNumber", "OtherPatientIDs", "StationName", "PatientAddress",
    ):  # fmt: skip
        setattr(dataset, keyword, SENTINEL[: 16 if keyword in ("AccessionNumber", "StationName") else 64])
    dataset.PatientBirthDate, dataset.PatientSex, dataset.StudyID = "19500101", "O", "1"
    dataset.StudyDate, dataset.StudyTime = "20200101", "120000"
    dataset.SeriesDate, dataset.SeriesTime = "20200101", "120500"
    dataset.ContentDate, dataset.ContentTime = "20200101", "121000"
    dataset.Manufacturer, dataset.ManufacturerModelName, dataset.SoftwareVersions = "Phantom", "Drawn", "1"
    dataset.DeviceSerialNumber = "1"


def _base(scan: Phantom, sop_class: str, series: str, reference: str | None, study: str) -> Dataset:
    dataset = Dataset()
    _patient(dataset)
    dataset.SOPClassUID, dataset.Modality = sop_class, "MR"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uid("study", study), uid("series", study, series)
    if reference is not None:
        dataset.FrameOfReferenceUID = uid("reference", study, reference)
    dataset.PositionReferenceIndicator = ""
    dataset.SeriesNumber, dataset.BodyPartExamined, dataset.PatientPosition = 1, "BRAIN", "HFS"
    dataset.SeriesDescription = f"{SENTINEL} {series}"
    dataset.Rows, dataset.Columns = scan.voxels.shape[1:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    return dataset


def _lps(scan: Phantom) -> NDArray[np.float64]:
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ scan.affine


def _decimals(values: Iterable[float]) -> list[float]:
    """As many as a decimal string of 16 characters holds."""
    return [float(f"{value:.10g}"[:16]) for value in values]


def place_slice(dataset: Dataset, scan: Phantom, k: int) -> None:
    """Spacing, orientation and position of slice ``k`` of the phantom, at the top of ``dataset``."""
    lps = _lps(scan)
    steps = np.linalg.norm(lps[:3, :3], axis=0)
    dataset.ImageOrientationPatient = _decimals([*(lps[:3, 0] / steps[0]), *(lps[:3, 1] / steps[1])])
    dataset.ImagePositionPatient = _decimals((lps @ (0, 0, k, 1))[:3])
    dataset.PixelSpacing = _decimals([steps[1], steps[0]])
    dataset.SliceThickness = float(steps[2])


def file_of(dataset: Dataset, transfer_syntax: str = ExplicitVRLittleEndian) -> bytes:
    """A whole DICOM file (preamble, meta information) of ``dataset``."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    meta.TransferSyntaxUID, meta.ImplementationClassUID = UID(transfer_syntax), UID(uid("implementation"))
    buffer = io.BytesIO()
    dataset.file_meta = meta
    dataset.preamble = bytes(128)
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def dicom_series(
    scan: Phantom,
    sequence: str = "flair",
    *,
    series: str | None = None,
    reference: str | None = "head",
    study: str = "1",
    transfer_syntax: str = ExplicitVRLittleEndian,
    change: Change | None = None,
    number: int = 1,
) -> list[tuple[str, bytes]]:
    """A classic MR series, one file a slice, as (name, bytes). Neither names nor instance numbers follow the positions.

    ``sequence``: a key of :data:`TIMES`. ``series``, ``reference``, ``study``: names that UIDs are made of; a
    ``reference`` of None leaves the frame of reference out. ``change``: is given each slice's index and dataset before
    it is written, to break it."""
    series = series or sequence
    files = []
    count = len(scan.voxels)
    for k, frame in enumerate(scan.voxels):
        dataset = _base(scan, MRImageStorage, series, reference, study)
        dataset.SOPInstanceUID = uid("instance", study, series, k)
        dataset.InstanceNumber = (k * 7) % count + 1
        dataset.SeriesNumber = number
        dataset.AcquisitionNumber = 1
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "M"]
        for keyword, value in TIMES[sequence].items():
            setattr(dataset, keyword, value)
        dataset.SequenceVariant, dataset.ScanOptions, dataset.MRAcquisitionType = "NONE", "", "2D"
        place_slice(dataset, scan, k)
        set_pixels(dataset, frame[None], transfer_syntax)
        if change is not None:
            change(k, dataset)
        files.append((f"{SENTINEL}/{series}/{(k * 5) % count:03d}-{k}.dcm", file_of(dataset, transfer_syntax)))
    return sorted(files)


def dicom_zip(scan: Phantom, sequence: str = "flair", **options: Any) -> bytes:
    """:func:`dicom_series` in a zip."""
    return zipped(dicom_series(scan, sequence, **options))


def _items(*pairs: tuple[str, object]) -> DicomSequence:
    item = Dataset()
    for keyword, value in pairs:
        setattr(item, keyword, value)
    return DicomSequence([item])


def dicom_enhanced(
    scan: Phantom,
    sequence: str = "flair",
    *,
    series: str | None = None,
    reference: str | None = "head",
    study: str = "1",
    transfer_syntax: str = ExplicitVRLittleEndian,
    slopes: Sequence[float] | None = None,
    change: Change | None = None,
    points: int = 1,
) -> bytes:
    """One file of Enhanced MR, frames from the last slice to the first. ``slopes``: one a slice, rescale slopes of the
    frames, with an intercept of 3. ``points``: how many points in time, each with every slice, one after the other.
    ``change``: is given each frame's number, from 0, and its functional groups, to break them; and -1 with the whole
    dataset at the end."""
    times = TIMES[sequence]
    dataset = _base(scan, EnhancedMRImageStorage, series or sequence, reference, study)
    dataset.SOPInstanceUID = uid("instance", study, series or sequence, "enhanced")
    dataset.InstanceNumber, dataset.ImageType = 1, ["ORIGINAL", "PRIMARY", "M"]
    dataset.ContentQualification, dataset.EchoPulseSequence = "RESEARCH", "SPIN"
    dataset.AcquisitionContrast, dataset.VolumetricProperties = "UNKNOWN", "VOLUME"
    timing = _items(("RepetitionTime", times["RepetitionTime"]), ("FlipAngle", 90.0))
    shared = Dataset()
    shared.MRTimingAndRelatedParametersSequence = timing
    if "InversionTime" in times:
        shared.MRModifierSequence = _items(("InversionRecovery", "YES"), ("InversionTimes", times["InversionTime"]))
    if "ContrastBolusAgent" in times:
        dataset.ContrastBolusAgentSequence = _items(("CodeValue", "C-B03C2"))
    dataset.SharedFunctionalGroupsSequence = DicomSequence([shared])
    frames: list[NDArray[np.int16]] = []
    groups: list[Dataset] = []
    for point in range(points):
        for k in reversed(range(len(scan.voxels))):
            own, placed = Dataset(), Dataset()
            place_slice(placed, scan, k)
            own.PlanePositionSequence = _items(("ImagePositionPatient", placed.ImagePositionPatient))
            own.PlaneOrientationSequence = _items(("ImageOrientationPatient", placed.ImageOrientationPatient))
            own.PixelMeasuresSequence = _items(
                ("PixelSpacing", placed.PixelSpacing), ("SliceThickness", placed.SliceThickness)
            )
            own.FrameContentSequence = _items(("TemporalPositionIndex", point + 1), ("StackID", "1"))
            own.MREchoSequence = _items(("EffectiveEchoTime", times["EchoTime"]))
            own.MRImageFrameTypeSequence = _items(("FrameType", ["ORIGINAL", "PRIMARY", "M", "NONE"]))
            slope = 1.0 if slopes is None else slopes[k]
            own.PixelValueTransformationSequence = _items(
                ("RescaleIntercept", 0.0 if slopes is None else 3.0), ("RescaleSlope", slope), ("RescaleType", "US")
            )
            if change is not None:
                change(len(groups), own)
            groups.append(own)
            frames.append(scan.voxels[k])
    dataset.PerFrameFunctionalGroupsSequence = DicomSequence(groups)
    dataset.NumberOfFrames = len(frames)
    set_pixels(dataset, np.stack(frames), transfer_syntax)
    if change is not None:
        change(-1, dataset)
    return file_of(dataset, transfer_syntax)
