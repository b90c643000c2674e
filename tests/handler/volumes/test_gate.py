"""A reason for each series that is no regular volume, before anything is decoded; and two volumes never become one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, SecondaryCaptureImageStorage

from handler.errors import RequestError
from handler.volumes.study import Study, read_study
from prove.drawn.volumes import (
    SENTINEL,
    Phantom,
    dicom_enhanced,
    dicom_series,
    dicom_zip,
    phantom,
    rotation,
    uid,
    zipped,
)

SCAN = phantom()
Files = list[tuple[str, bytes]]


def refused(data: bytes, series: int | None = None) -> RequestError:
    with pytest.raises(RequestError) as refusal:
        read_study({"file": data}, series)
    assert SENTINEL not in refusal.value.detail
    assert ".dcm" not in refusal.value.detail
    return refusal.value


def codes(study: Study) -> set[str]:
    return {warning.code for warning in study.warnings}


def moved(slice_index: int, by: tuple[float, float, float]) -> Callable[[int, Dataset], None]:
    """In LPS millimetres."""

    def change(k: int, dataset: Dataset) -> None:
        if k == slice_index:
            dataset.ImagePositionPatient = [a + b for a, b in zip(dataset.ImagePositionPatient, by, strict=True)]

    return change


def setting(keyword: str, value: object, only: int | None = None) -> Callable[[int, Dataset], None]:
    def change(k: int, dataset: Dataset) -> None:
        if k == only or only is None:
            if value is None:
                delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)

    return change


def leaning(k: int, dataset: Dataset) -> None:
    x, y, z = dataset.ImagePositionPatient
    dataset.ImagePositionPatient = [x, y + 0.5 * k, z]


def at_the_detector(k: int, dataset: Dataset) -> None:
    dataset.ImagerPixelSpacing = dataset.PixelSpacing
    del dataset.PixelSpacing


def turned(k: int, dataset: Dataset) -> None:
    if k == 3:
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]


def smaller(k: int, dataset: Dataset) -> None:
    if k == 2:
        dataset.Rows -= 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (moved(4, (0, 0, -5)), "same place"),
        (moved(4, (0, 0, 1.5)), "uneven steps"),
        (moved(4, (0, 3, 0)), "leans"),
        (leaning, "leans"),
        (at_the_detector, "ImagerPixelSpacing"),
        (setting("PixelSpacing", None), "PixelSpacing"),
        (setting("PixelSpacing", [1.0, 1.2], 5), "pixel spacing"),
        (setting("PixelSpacing", [0.0, 1.0]), "patient's size"),
        (setting("ImagePositionPatient", None, 5), "where it lies"),
        (setting("ImageOrientationPatient", None), "where it lies"),
        (setting("ImageOrientationPatient", [1, 0, 0, 0.5, 1, 0]), "rectangle"),
        (turned, "orientation"),
        (smaller, "size"),
    ],
)
def test_a_reason_for_each(change: Callable[[int, Dataset], None], reason: str) -> None:
    refusal = refused(dicom_zip(SCAN, change=change))
    assert refusal.code == "inconsistent_series"
    assert reason in refusal.detail


def test_a_gap_says_between_which_files() -> None:
    files = [file for file in dicom_series(SCAN) if not file[0].endswith("-3.dcm")]
    names = [name.rsplit("-", 1)[1] for name, _ in files]
    refusal = refused(zipped(files))
    assert refusal.code == "inconsistent_series"
    assert f"files {names.index('2.dcm') + 1} and {names.index('4.dcm') + 1}" in refusal.detail
    assert "10.00 mm, elsewhere 5.00 mm: 1 missing" in refusal.detail


@pytest.mark.parametrize("claimed", [1.0, 7.0, -5.0, None])
def test_spacing_between_slices_is_never_believed(claimed: float | None) -> None:
    scan = phantom(turn=rotation(12))
    change = None if claimed is None else setting("SpacingBetweenSlices", claimed)
    study = read_study({"file": dicom_zip(scan, change=change)})
    assert study.flair.grid.spacing_mm == pytest.approx((0.9, 1.1, 5.0), abs=1e-4)


def test_no_frame_of_reference_is_a_warning() -> None:
    assert "no_frame_of_reference" in codes(read_study({"file": dicom_zip(SCAN, reference=None)}))
    assert "no_frame_of_reference" not in codes(read_study({"file": dicom_zip(SCAN)}))


def test_two_frames_of_reference_are_not_one_volume() -> None:
    def change(k: int, dataset: Dataset) -> None:
        dataset.FrameOfReferenceUID = uid(k % 2)

    assert refused(dicom_zip(SCAN, change=change)).code == "several_series"


def test_a_single_slice_says_so() -> None:
    study = read_study({"file": dicom_series(SCAN)[0][1]})
    assert study.flair.grid.size == (20, 24, 1)
    assert {"single_slice", "missing_sequence"} <= codes(study)


# --- names taken away ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["each its own", "none"])
def test_series_uids_that_were_taken_away(how: str) -> None:
    def change(k: int, dataset: Dataset) -> None:
        if how == "none":
            del dataset.SeriesInstanceUID
            del dataset.StudyInstanceUID
        else:
            dataset.SeriesInstanceUID, dataset.SOPInstanceUID = (
                uid(dataset.SOPInstanceUID, 1),
                uid(dataset.SOPInstanceUID, 2),
            )

    files = dicom_series(SCAN, "flair", change=change) + dicom_series(SCAN, "t1", change=change, number=2)
    study = read_study({"file": zipped(files)})
    assert study.flair.grid.size == (20, 24, 8)
    assert study.t1 is not None
    assert study.t1.grid.size == (20, 24, 8)


# --- several volumes in one series -----------------------------------------------------------------------------------

OTHER = phantom(seed=1)
ANYWHERE: list[tuple[str, object, object]] = [
    ("EchoTime", 120.0, 240.0),
    ("EchoNumbers", 1, 2),
    ("TemporalPositionIdentifier", 1, 2),
    ("InversionTime", 2500.0, 2700.0),
    ("ImageType", ["ORIGINAL", "PRIMARY", "M"], ["ORIGINAL", "PRIMARY", "P"]),
]
# These differ within ordinary volumes too: only the same places twice say that there are two.
SAME_PLACES: list[tuple[str, object, object]] = [
    ("AcquisitionNumber", 1, 2),
    ("TriggerTime", 10.0, 400.0),
    ("FlipAngle", 90.0, 30.0),
]
TELLING = [(*row, 0.0) for row in ANYWHERE + SAME_PLACES] + [(*row, 2.5) for row in ANYWHERE]


def both(change: Callable[[int], Callable[[int, Dataset], None]], second: Phantom = OTHER) -> bytes:
    """Two volumes under one series UID, in turn."""
    one = dicom_series(SCAN, series="one", change=change(0))
    two = dicom_series(second, series="one", change=change(1))
    files = [file for pair in zip(one, two, strict=True) for file in pair]
    return zipped((f"{n:03d}.dcm", data) for n, (_, data) in enumerate(files))


@pytest.mark.parametrize(("keyword", "first", "second", "shift"), TELLING)
def test_two_volumes_in_a_series_are_told_apart(keyword: str, first: object, second: object, shift: float) -> None:
    """Also where the second lies between the slices of the first, as one regular volume of half the step."""
    scan = phantom(origin=(-31.0, 12.5, 40.0 + shift), seed=1)
    data = both(lambda which: setting(keyword, (first, second)[which]), scan)
    volumes = []
    if keyword != "ImageType":  # a phase is no FLAIR: the magnitude is taken without asking
        refusal = refused(data)
        assert refusal.code == "several_series"
        assert "8 slices" in refusal.detail
    for number in (1, 2):
        volumes.append(read_study({"file": data}, number).flair)
    expected = sorted(scan.voxels.sum() for scan in (SCAN, scan))
    assert sorted(volume.voxels.sum(dtype=np.float64) for volume in volumes) == pytest.approx(expected)
    assert {volume.grid.size for volume in volumes} == {(20, 24, 8)}


def test_two_volumes_that_nothing_tells_apart_are_refused() -> None:
    def change(which: int) -> Callable[[int, Dataset], None]:
        return setting("SOPInstanceUID", uid("which", which))

    refusal = refused(both(change))
    assert refusal.code == "inconsistent_series"
    assert "same place" in refusal.detail


def test_a_tag_that_differs_from_slice_to_slice_takes_nothing_apart() -> None:
    def change(k: int, dataset: Dataset) -> None:
        dataset.AcquisitionNumber, dataset.TriggerTime = k % 2, 3.0 * k

    assert read_study({"file": dicom_zip(SCAN, change=change)}).flair.grid.size == (20, 24, 8)


def test_points_in_time_of_an_enhanced_object() -> None:
    data = dicom_enhanced(SCAN, points=3)
    assert "holds 3 series" in refused(data).detail
    assert np.array_equal(read_study({"file": data}, 2).flair.voxels, SCAN.voxels)


def test_an_enhanced_object_with_a_gap() -> None:
    def change(number: int, groups: Dataset) -> None:
        if number in (0, 1, 2):
            place = groups.PlanePositionSequence[0]
            place.ImagePositionPatient = [*place.ImagePositionPatient[:2], place.ImagePositionPatient[2] + 5]

    refusal = refused(dicom_enhanced(SCAN, change=change))
    assert "frame 4 of file 1 and frame 3 of file 1" in refusal.detail
    assert "1 missing" in refusal.detail


# --- what is no MR, no grey ------------------------------------------------------------------------------------------


def test_what_is_no_mr() -> None:
    def change(k: int, dataset: Dataset) -> None:
        dataset.SOPClassUID, dataset.Modality = CTImageStorage, "CT"

    refusal = refused(dicom_zip(SCAN, change=change))
    assert refusal.code == "not_mr"
    assert "CT" in refusal.detail

    def secret(k: int, dataset: Dataset) -> None:
        dataset.SOPClassUID, dataset.Modality = SecondaryCaptureImageStorage, "SMITH"

    assert "SMITH" not in refused(dicom_zip(SCAN, change=secret)).detail


def test_other_objects_beside_mr_are_left_out() -> None:
    def change(k: int, dataset: Dataset) -> None:
        dataset.SOPClassUID, dataset.Modality = SecondaryCaptureImageStorage, "SC"

    files = dicom_series(SCAN) + dicom_series(SCAN, series="other", change=change)
    study = read_study({"file": zipped(files)})
    assert "objects_skipped" in codes(study)
    assert study.flair.grid.size == (20, 24, 8)


@pytest.mark.parametrize(
    "change",
    [
        setting("PhotometricInterpretation", "MONOCHROME1"),
        setting("PhotometricInterpretation", "RGB"),
        setting("SamplesPerPixel", 3),
        setting("HighBit", 15),
        setting("BitsAllocated", 12),
    ],
)
def test_what_is_no_plain_number(change: Callable[[int, Dataset], None]) -> None:
    assert refused(dicom_zip(SCAN, change=change)).code == "unsupported_shape"


@pytest.mark.parametrize(
    "change",
    [
        setting("RescaleSlope", 0),
        setting("Rows", 2000),
        setting("PixelData", b"\0\0"),
        setting("PixelData", None),
        setting("ImagePositionPatient", [1, 2]),
        setting("BitsAllocated", None),
        setting("NumberOfFrames", 3),
    ],
)
def test_what_is_broken(change: Callable[[int, Dataset], None]) -> None:
    assert refused(dicom_zip(SCAN, change=change)).code == "corrupt_image"


def test_signed_and_overlaid_numbers() -> None:
    """12 bits of 16 with the sign in bit 11, and an overlay in the bits above."""

    def change(k: int, dataset: Dataset) -> None:
        numbers = np.frombuffer(dataset.PixelData, "<u2") - 1000
        dataset.PixelData = ((numbers & 0x0FFF) | 0xA000).astype("<u2").tobytes()
        dataset.PixelRepresentation = 1

    volume = read_study({"file": dicom_zip(SCAN, change=change)}).flair
    assert np.array_equal(volume.voxels, SCAN.voxels - 1000.0)


# --- any series ------------------------------------------------------------------------------------------------------


@given(
    degrees=st.floats(-60, 60),
    step=st.floats(0.5, 9),
    missing=st.sets(st.integers(1, 6), max_size=2),
    noise=st.floats(0, 0.002),
)
def test_a_regular_series_is_read_and_one_with_a_hole_is_not(
    degrees: float, step: float, missing: set[int], noise: float
) -> None:
    scan = phantom((10, 13, 8), (0.8, 0.8, step), rotation(degrees))

    def change(k: int, dataset: Dataset) -> None:
        dataset.ImagePositionPatient = [round(x + noise * (-1) ** k, 5) for x in dataset.ImagePositionPatient]

    files = [f for f in dicom_series(scan, change=change) if int(f[0].rsplit("-", 1)[1][:-4]) not in missing]
    if missing and missing != {1, 2, 3, 4, 5, 6}:
        assert refused(zipped(files)).code == "inconsistent_series"
        return
    volume = read_study({"file": zipped(files)}).flair
    corners = np.array([[0, 0, 0], [9, 12, 7]], float)
    theirs = corners @ scan.affine[:3, :3].T + scan.affine[:3, 3]
    ours = volume.grid.to_mm(corners)
    assert np.abs(ours - theirs).max() < 0.01
