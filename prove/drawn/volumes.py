"""Volumes drawn in code: NIfTI and DICOM with landmarks, in any orientation, and broken on purpose.

A phantom is `Phantom`: int16 voxels (slices, rows, columns) on an affine (i, j, k -> mm, RAS+), with a bright voxel at
each landmark. The writers take it and give bytes; what they write never holds a real name, but :data:`SENTINEL`, which
no answer, error or log may ever hold."""

from __future__ import annotations

import gzip
import io
import itertools
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import imagecodecs
import nibabel
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import (
    UID,
    EnhancedMRImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)

SENTINEL = "ZZDOE^SENTINEL"
# 48: which patient axis each grid axis runs along, and which way.
ORIENTATIONS = [
    np.array([[sign * (axis == row) for axis, sign in zip(axes, signs, strict=True)] for row in range(3)], float)
    for axes in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


def rotation(degrees: float, axis: tuple[float, float, float] = (1.0, 0.5, 0.25)) -> NDArray[np.float64]:
    """By ``degrees`` about ``axis``: oblique scans."""
    x, y, z = np.array(axis) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.radians(degrees)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


@dataclass(frozen=True)
class Phantom:
    """``landmarks``: indices i, j, k of the brightest voxel of each block."""

    voxels: NDArray[np.int16]
    affine: NDArray[np.float64]
    landmarks: tuple[tuple[int, int, int], ...]

    def landmarks_mm(self) -> NDArray[np.float64]:
        return np.array([(self.affine @ (*index, 1.0))[:3] for index in self.landmarks])


def phantom(
    size: tuple[int, int, int] = (20, 24, 8),
    spacing: tuple[float, float, float] = (0.9, 1.1, 5.0),
    turn: NDArray[np.float64] | None = None,
    origin: tuple[float, float, float] = (-31.0, 12.5, 40.0),
    seed: int = 0,
) -> Phantom:
    """``size``: columns, rows, slices; ``turn``: 3 x 3, from grid axes to the patient's (one of :data:`ORIENTATIONS`,
    turned further by :func:`rotation` for an oblique one)."""
    generator = np.random.default_rng(seed)
    voxels = generator.integers(50, 200, size[::-1]).astype(np.int16)
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if turn is None else turn) * spacing
    affine[:3, 3] = origin
    landmarks = tuple(
        (int(size[0] * a), int(size[1] * b), int(size[2] * c))
        for a, b, c in ((0.2, 0.3, 0.2), (0.7, 0.2, 0.6), (0.4, 0.8, 0.9))
    )
    for number, (i, j, k) in enumerate(landmarks):
        voxels[k, j, i] = 1000 + 100 * number
    return Phantom(voxels, affine, landmarks)


def brightest(voxels: NDArray[np.float32], count: int = 3) -> list[tuple[int, int, int]]:
    """i, j, k of the ``count`` brightest voxels of (slices, rows, columns), the darkest of them first: the landmarks in
    the phantom's order, whatever the scale."""
    found = np.argsort(voxels, axis=None)[-count:]
    return [(int(i), int(j), int(k)) for k, j, i in (np.unravel_index(n, voxels.shape) for n in found)]


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

RLE = "1.2.840.10008.1.2.5"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"
JPEG_LS = "1.2.840.10008.1.2.4.80"
JPEG_2000 = "1.2.840.10008.1.2.4.90"
COMPRESSED = (RLE, JPEG_LOSSLESS, JPEG_LS, JPEG_2000)  # lossless ones
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


def encoded(frame: NDArray[np.int16], transfer_syntax: str) -> bytes:
    """One frame, compressed."""
    unsigned = np.ascontiguousarray(frame.astype(np.uint16))
    if transfer_syntax == JPEG_LOSSLESS:
        return bytes(imagecodecs.jpeg8_encode(unsigned, lossless=True, bitspersample=16))
    if transfer_syntax == JPEG_EXTENDED:
        return bytes(imagecodecs.jpeg8_encode(unsigned, level=100, bitspersample=12))
    if transfer_syntax == JPEG_BASELINE:
        return bytes(imagecodecs.jpeg8_encode((unsigned // 8).astype(np.uint8), level=100))
    if transfer_syntax == JPEG_LS:
        return bytes(imagecodecs.jpegls_encode(unsigned))
    if transfer_syntax == JPEG_2000:
        return bytes(imagecodecs.jpeg2k_encode(unsigned, level=0, codecformat="j2k", reversible=True, mct=False))
    halves = [(unsigned >> 8).astype(np.uint8), (unsigned & 255).astype(np.uint8)]
    packed = [b"".join(bytes(imagecodecs.packbits_encode(row.tobytes())) for row in half) for half in halves]
    packed = [part + bytes(len(part) % 2) for part in packed]
    head = np.array([2, 64, 64 + len(packed[0]), *[0] * 13], "<u4").tobytes()
    return head + packed[0] + packed[1]


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


def _set_pixels(dataset: Dataset, frames: NDArray[np.int16], transfer_syntax: str) -> None:
    if transfer_syntax in (*COMPRESSED, JPEG_BASELINE, JPEG_EXTENDED):
        dataset.PixelData = encapsulate([encoded(frame, transfer_syntax) for frame in frames])
        dataset["PixelData"].VR = "OB"
        if transfer_syntax == JPEG_BASELINE:
            dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
        return
    order = ">" if transfer_syntax == ExplicitVRBigEndian else "<"
    dataset.PixelData = frames.astype(f"{order}i2").tobytes()
    dataset["PixelData"].VR = "OW"


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
        _set_pixels(dataset, frame[None], transfer_syntax)
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
    _set_pixels(dataset, np.stack(frames), transfer_syntax)
    if change is not None:
        change(-1, dataset)
    return file_of(dataset, transfer_syntax)
