"""DICOM series drawn in code, as the reader hands them on and as files."""

from __future__ import annotations

import io
from dataclasses import dataclass
from itertools import permutations, product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, config, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage
from pydicom.valuerep import DSfloat

from handler.volumes.grid import TO_LPS, Grid
from handler.volumes.volume import Acquisition, DicomFrame, DicomSource, Volume

ROOT = "1.2.826.0.1.3680043.8.498.7"
PATIENT = {"PatientName": "Meier^Anna", "PatientID": "P-17", "PatientBirthDate": "19501231", "PatientSex": "F"}
STUDY = {"StudyDate": "20240229", "StudyTime": "101112.5", "StudyID": "4", "AccessionNumber": "A9"}


@dataclass(frozen=True, eq=False)
class Series:
    """``datasets``: with pixels, as sent. ``volume``: as the reader hands it on."""

    datasets: tuple[Dataset, ...]
    volume: Volume


def turned(x: float, y: float, z: float) -> NDArray[np.float64]:
    """A rotation by these angles, in radians."""
    (cx, sx), (cy, sy), (cz, sz) = ((np.cos(a), np.sin(a)) for a in (x, y, z))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


OBLIQUE = turned(0.15, -0.1, 0.2)
ORIENTATIONS = [
    np.eye(3)[list(order)] * signs for order in permutations(range(3)) for signs in product((1.0, -1.0), repeat=3)
]


def grid_of(
    size: tuple[int, int, int],
    spacing: tuple[float, float, float] = (0.9, 0.8, 5.0),
    axes: NDArray[np.float64] = OBLIQUE,
) -> Grid:
    """``axes``: columns are the directions of i, j, k in RAS."""
    affine = np.eye(4)
    affine[:3, :3] = axes * spacing
    affine[:3, 3] = (-70.0, 42.5, 13.25)
    return Grid(size, affine, "dicom")


def _common(grid: Grid) -> Dataset:
    dataset = Dataset()
    for keyword, value in {**PATIENT, **STUDY}.items():
        setattr(dataset, keyword, value)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"{ROOT}.1", f"{ROOT}.2"
    dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = f"{ROOT}.3", ""
    dataset.Modality, dataset.SeriesNumber, dataset.Manufacturer = "MR", 1, "Phantom"
    dataset.ReferringPhysicianName = ""
    dataset.Columns, dataset.Rows, _ = grid.size
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 0
    return dataset


def _file(dataset: Dataset, sop_class: str, number: int) -> Dataset:
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, f"{ROOT}.4.{number}"
    dataset.InstanceNumber = number
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def _numbers(values: Any) -> list[DSfloat]:
    return [DSfloat(float(value), auto_format=True) for value in values]


def _place(grid: Grid, slice_: int) -> list[DSfloat]:
    return _numbers(TO_LPS[:3, :3] @ grid.to_mm(np.array([0.0, 0.0, slice_])))


def _orientation(grid: Grid) -> list[DSfloat]:
    columns = grid.affine_lps[:3, :2] / grid.spacing_mm[:2]
    return _numbers([*columns[:, 0], *columns[:, 1]])


def _measures(into: Dataset, grid: Grid, stated_spacing: float | None) -> None:
    into.PixelSpacing = _numbers((grid.spacing_mm[1], grid.spacing_mm[0]))
    into.SliceThickness = 4
    if stated_spacing is not None:
        into.SpacingBetweenSlices = stated_spacing


def classic(grid: Grid, stated_spacing: float | None = None, tags: dict[str, object] | None = None) -> Series:
    """One object a slice, numbered against the order of the slices. ``tags``: set on each, None takes away."""
    datasets = []
    for index in range(grid.size[2]):
        dataset = _file(_common(grid), MRImageStorage, grid.size[2] - index)
        dataset.ImagePositionPatient, dataset.ImageOrientationPatient = _place(grid, index), _orientation(grid)
        dataset.ImageType, dataset.ScanningSequence, dataset.SequenceVariant = ["ORIGINAL", "PRIMARY"], "SE", "NONE"
        dataset.ScanOptions = dataset.MRAcquisitionType = ""
        dataset.EchoTime, dataset.RepetitionTime, dataset.EchoTrainLength = 90, 9000, 1
        _measures(dataset, grid, stated_spacing)
        dataset.PixelData = bytes(2 * dataset.Rows * dataset.Columns)
        datasets.append(_with(dataset, tags))
    frames = tuple(DicomFrame(index, 1) for index in range(grid.size[2]))
    return Series(tuple(datasets), _volume(grid, datasets, frames))


def enhanced(
    grid: Grid, stated_spacing: float | None = None, tags: dict[str, object] | None = None, objects: int = 1
) -> Series:
    """Frames from the last slice to the first, spread over ``objects``, behind a frame of another echo in each."""
    datasets, frames = [], {}
    for number in range(objects):
        dataset = _file(_common(grid), EnhancedMRImageStorage, number + 1)
        shared, measures, orientation = Dataset(), Dataset(), Dataset()
        _measures(measures, grid, stated_spacing)
        orientation.ImageOrientationPatient = _orientation(grid)
        shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
        slices = list(range(grid.size[2]))[::-1][number::objects]
        groups = []
        for index in [slices[0], *slices]:
            position, group = Dataset(), Dataset()
            position.ImagePositionPatient = _place(grid, index)
            group.PlanePositionSequence = [position]
            groups.append(group)
        frames |= {index: DicomFrame(number, at) for at, index in enumerate(slices, 2)}
        dataset.SharedFunctionalGroupsSequence, dataset.PerFrameFunctionalGroupsSequence = [shared], groups
        dataset.NumberOfFrames = len(groups)
        dataset.PixelData = bytes(2 * dataset.Rows * dataset.Columns * len(groups))
        datasets.append(_with(dataset, tags))
    return Series(tuple(datasets), _volume(grid, datasets, tuple(frames[k] for k in range(grid.size[2]))))


def _with(dataset: Dataset, tags: dict[str, object] | None) -> Dataset:
    with config.disable_value_validation():
        for keyword, value in (tags or {}).items():
            dataset.pop(keyword, None)  # an element keeps the validation that it was made with
            if value is not None:
                setattr(dataset, keyword, value)
    return dataset


def _volume(grid: Grid, datasets: list[Dataset], frames: tuple[DicomFrame, ...]) -> Volume:
    source = DicomSource(tuple(_as_read(dataset) for dataset in datasets), frames)
    return Volume(np.zeros(grid.shape, np.float32), grid, source, Acquisition(modality="MR"), "dicom", "ab" * 32)


def _as_read(dataset: Dataset) -> Dataset:
    """Without pixels, its values still to be converted."""
    file = io.BytesIO()
    with config.disable_value_validation():
        dataset.save_as(file)
    file.seek(0)
    return dcmread(file, force=True, stop_before_pixels=True)


def landmarks(grid: Grid) -> NDArray[np.bool_]:
    """A few voxels, unlike under any turn or flip, the corners of the last slice among them; slices stay empty."""
    mask = np.zeros(grid.shape, bool)
    slices, rows, columns = grid.shape
    mask[1, 0, 0] = mask[1, rows - 1, 2] = mask[1, 3, columns - 1] = True
    mask[slices - 2, 4:7, 1:9] = mask[slices - 1, rows - 1, columns - 1] = True
    return mask


def save(series: Series, folder: Path) -> list[Path]:
    paths = []
    for number, dataset in enumerate(series.datasets):
        paths.append(folder / f"{number:03}.dcm")
        dataset.save_as(paths[-1], enforce_file_format=True)
    return paths
