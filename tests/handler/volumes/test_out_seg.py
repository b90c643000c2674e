"""A DICOM SEG lies on the source's frames in highdicom, dcmqi, nibabel and SimpleITK, whatever the source's tags
say."""

from __future__ import annotations

import hashlib
import io
import logging
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import highdicom
import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom import Dataset

from handler.errors import RequestError
from handler.volumes import lesions
from handler.volumes.grid import TO_LPS
from handler.volumes.out.algorithm import NOTICE, Algorithm
from handler.volumes.out.nifti import encode as nifti
from handler.volumes.out.seg import encode, kind_for
from handler.volumes.volume import Acquisition, NiftiSource, Volume
from prove.drawn.places import apart, in_mm, placed
from tests.handler.volumes import seg_rules
from tests.handler.volumes.series import OBLIQUE, ORIENTATIONS, Series, classic, enhanced, grid_of, landmarks, save

ALGORITHM = Algorithm("2.0", (("threshold", "0.5"), ("min_lesion_pixels", "0")))
TOOLS = Path(sys.executable).parent
SMALL = grid_of((16, 24, 5))
KINDS: dict[str, Callable[..., Series]] = {
    "classic": classic,
    "enhanced": enhanced,
    "several enhanced": lambda *given, **named: enhanced(*given, **named, objects=2),
}


def read(data: bytes) -> Dataset:
    return pydicom.dcmread(io.BytesIO(data))


Found = tuple[np.ndarray, float]  # where the voxels lie, and the volume of one in mm3


def found_in(mask: np.ndarray, affine: np.ndarray) -> Found:
    return in_mm(mask, affine), abs(float(np.linalg.det(affine[:3, :3])))


def by_highdicom(data: bytes) -> Found:
    volume = highdicom.seg.Segmentation.from_dataset(read(data)).get_volume(combine_segments=True)
    return found_in(volume.array > 0, (TO_LPS @ volume.affine)[:, [2, 1, 0, 3]])


def by_dcmqi(data: bytes, folder: Path) -> dict[str, Found]:
    """dcmqi's NIfTI of the SEG, as nibabel and as SimpleITK put it."""
    (folder / "seg.dcm").write_bytes(data)
    tool = ["segimage2itkimage", "--inputDICOM", "seg.dcm", "--outputDirectory", ".", "-t", "nii"]
    subprocess.run([TOOLS / tool[0], *tool[1:]], cwd=folder, check=True, capture_output=True, timeout=120)
    return {f"dcmqi, {name}": found for name, found in by_nifti_readers(folder / "1.nii.gz").items()}


def by_nifti_readers(path: Path) -> dict[str, Found]:
    image, itk = nibabel.load(path), SimpleITK.ReadImage(str(path))
    affine = np.eye(4)
    affine[:3, :3] = np.array(itk.GetDirection()).reshape(3, 3) * itk.GetSpacing()
    affine[:3, 3] = itk.GetOrigin()
    return {
        "nibabel": found_in(np.asarray(image.dataobj).T > 0, image.affine),
        "SimpleITK": found_in(SimpleITK.GetArrayFromImage(itk) > 0, TO_LPS @ affine),
    }


@pytest.mark.slow  # three programs for each of 32
@pytest.mark.parametrize("source", ["classic", "enhanced"])
@pytest.mark.parametrize("stated", [1.0, 7.0, -5.0, None])
@pytest.mark.parametrize("size", [(181, 217, 6), (10, 13, 6), (256, 256, 6), (217, 181, 6)])
def test_landmarks_in_other_programs(
    size: tuple[int, int, int], stated: float | None, source: str, tmp_path: Path
) -> None:
    grid = grid_of(size)
    series, mask = KINDS[source](grid, stated), landmarks(grid)
    expected = in_mm(mask, grid.affine_ras)
    (tmp_path / "mask.nii.gz").write_bytes(nifti(series.volume, mask, ALGORITHM))
    found = by_nifti_readers(tmp_path / "mask.nii.gz")
    for kind in ("BINARY", "LABELMAP"):
        data = encode(series.volume, mask, ALGORITHM, kind)
        assert seg_rules.broken(read(data), series.datasets, size[2]) == []
        found |= {f"{kind}, highdicom": by_highdicom(data)}
        found |= {f"{kind}, {name}": seen for name, seen in by_dcmqi(data, tmp_path).items()}
    far = {name: round(apart(points, expected), 4) for name, (points, _) in found.items()}
    print(f"{size[0]}x{size[1]}, {source}, SpacingBetweenSlices {stated}: farthest landmark in mm {far}")
    assert len(far) == 8
    assert max(far.values()) < 0.01
    # 1.0 in the tag once gave slices of 1 mm with the mask on every fifth: right places, a fifth of the volume
    assert [voxel for _, voxel in found.values()] == pytest.approx([grid.voxel_ml * 1000] * 8, rel=1e-4)


@pytest.mark.parametrize("stated", [1.0, 7.0])
def test_dcmqi_would_go_by_the_tag(stated: float, tmp_path: Path) -> None:
    """Else the test above would say nothing about it."""
    seg = read(encode(classic(SMALL).volume, landmarks(SMALL), ALGORITHM))
    seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices = stated
    file = io.BytesIO()
    seg.save_as(file)
    points, voxel = by_dcmqi(file.getvalue(), tmp_path)["dcmqi, nibabel"]
    right = in_mm(landmarks(SMALL), SMALL.affine_ras)
    assert voxel == pytest.approx(SMALL.voxel_ml * 1000 * stated / 5, rel=1e-4)
    assert stated < 5 or apart(points, right) > 1


@pytest.mark.slow
@pytest.mark.parametrize("source", list(KINDS))
@pytest.mark.parametrize("tilt", ["straight", "oblique"])
def test_centroids_by_the_frames_own_geometry(source: str, tilt: str) -> None:
    """All 48 orientations and flips: what each frame says of itself against the mask's affine."""
    farthest = 0.0
    for axes in ORIENTATIONS:
        grid = grid_of((16, 24, 5), axes=OBLIQUE @ axes if tilt == "oblique" else axes)
        mask = landmarks(grid)
        seg = read(encode(KINDS[source](grid).volume, mask, ALGORITHM))
        theirs = placed(seg)
        found = lesions.measure(mask, grid).found
        assert sum(lesion.voxels for lesion in found) == len(theirs)
        ours = sum(np.array(lesion.centroid_mm) * lesion.voxels for lesion in found) / len(theirs)
        farthest = max(farthest, float(np.linalg.norm(ours - theirs.mean(axis=0))))
        assert apart(in_mm(mask, grid.affine_ras), theirs) < 0.01
    print(f"{source}, {tilt}: centroids at most {farthest:.5f} mm apart over {len(ORIENTATIONS)} orientations")
    assert farthest <= 0.5


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
@pytest.mark.parametrize("source", list(KINDS))
def test_the_verifiers_find_no_error(source: str, kind: str, tmp_path: Path) -> None:
    series = KINDS[source](SMALL, 7.0)
    paths = save(series, tmp_path)
    (tmp_path / "seg.dcm").write_bytes(encode(series.volume, landmarks(SMALL), ALGORITHM, kind))
    checks = {"dciodvfy": [tmp_path / "seg.dcm"], "dcentvfy": [tmp_path / "seg.dcm", *paths]}
    for tool, files in checks.items():
        ran = subprocess.run([TOOLS / tool, *files], capture_output=True, text=True, check=False, timeout=120)
        said = (ran.stdout + ran.stderr).splitlines()
        print(f"{tool}, {source}, {kind}: {len(said)} lines, errors: {sum('Error' in line for line in said)}")
        assert [line for line in said if "Error" in line or "Abort" in line] == []


def _no_frame_of_reference(seg: Dataset) -> None:
    del seg.FrameOfReferenceUID


def _no_position(seg: Dataset) -> None:
    del seg.PerFrameFunctionalGroupsSequence[3].PlanePositionSequence


def _no_derivation(seg: Dataset) -> None:
    del seg.PerFrameFunctionalGroupsSequence[2].DerivationImageSequence


def _swapped(seg: Dataset) -> None:
    a, b = (seg.PerFrameFunctionalGroupsSequence[n] for n in (1, 2))
    a.DerivationImageSequence, b.DerivationImageSequence = b.DerivationImageSequence, a.DerivationImageSequence


def _a_frame_less(seg: Dataset) -> None:
    seg.NumberOfFrames -= 1
    seg.PerFrameFunctionalGroupsSequence = list(seg.PerFrameFunctionalGroupsSequence)[1:]


def _spacing_of_the_source(seg: Dataset) -> None:
    seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices = 1


def _another_series(seg: Dataset) -> None:
    seg.ReferencedSeriesSequence[0].SeriesInstanceUID += ".9"


def _nobody_made_it(seg: Dataset) -> None:
    del seg.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence


BROKEN = {
    _no_frame_of_reference: "FrameOfReferenceUID is not the source's",
    _no_position: "frame 4 has no plane position",
    _no_derivation: "frame 3 has no derivation that names one source",
    _swapped: "frame 2 lies elsewhere than its source",
    _a_frame_less: "4 frames for 5 slices and 1 segments",
    _spacing_of_the_source: "SpacingBetweenSlices is not the distance of the planes",
    _another_series: "ReferencedSeriesSequence does not list the source",
    _nobody_made_it: "segment 1 does not say which algorithm made it",
}


@pytest.mark.parametrize("breaking", list(BROKEN), ids=lambda breaking: breaking.__name__)
@pytest.mark.parametrize("source", ["classic", "enhanced"])
def test_objects_broken_on_purpose_are_caught(breaking: Callable[[Dataset], None], source: str) -> None:
    series = KINDS[source](SMALL)
    seg = read(encode(series.volume, landmarks(SMALL), ALGORITHM))
    assert seg_rules.broken(seg, series.datasets, 5) == []
    breaking(seg)
    assert BROKEN[breaking] in seg_rules.broken(seg, series.datasets, 5)


@pytest.mark.parametrize(
    ("size", "kind"),
    [
        ((256, 256), "BINARY"),
        ((192, 176), "BINARY"),
        ((8, 2), "BINARY"),
        ((8, 1), "LABELMAP"),
        ((181, 217), "LABELMAP"),
        ((181, 216), "LABELMAP"),
        ((4, 4), "LABELMAP"),
    ],
)
def test_the_kind_by_the_size(size: tuple[int, int], kind: str) -> None:
    assert kind_for(grid_of((*size, 3))) == kind


def test_the_kind_on_request() -> None:
    volume = classic(SMALL).volume
    mask = landmarks(SMALL)
    assert read(encode(volume, mask, ALGORITHM)).SegmentationType == "BINARY"
    assert read(encode(volume, mask, ALGORITHM, "LABELMAP")).SegmentationType == "LABELMAP"
    with pytest.raises(ValueError, match="kind 'FRACTIONAL': expected one of BINARY, LABELMAP"):
        encode(volume, mask, ALGORITHM, "FRACTIONAL")


def test_what_it_says_of_itself() -> None:
    seg = read(encode(classic(SMALL).volume, landmarks(SMALL), ALGORITHM))
    (segment,) = seg.SegmentSequence
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Neoplasm"
    assert segment.AnatomicRegionSequence[0].CodeMeaning == "Brain"
    algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("brainseg", "2.0")
    assert algorithm.AlgorithmParameters == "threshold=0.5,min_lesion_pixels=0"
    assert seg.ContentDescription == NOTICE


def test_the_tumor_comes_first() -> None:
    """OHIF 3.13.2 draws the first segment of a LABELMAP in the first color: the background's, where that is first."""
    for kind in ("BINARY", "LABELMAP"):
        seg = read(encode(classic(SMALL).volume, landmarks(SMALL), ALGORITHM, kind))
        assert [s.SegmentNumber for s in seg.SegmentSequence] == ([1, 0] if kind == "LABELMAP" else [1])
        assert all("RecommendedDisplayCIELabValue" in s for s in seg.SegmentSequence), "without, OHIF warns"


def test_an_empty_mask_and_a_single_slice() -> None:
    for size in ((16, 24, 5), (16, 24, 1)):
        series = classic(grid_of(size))
        seg = read(encode(series.volume, np.zeros(size[::-1], bool), ALGORITHM))
        assert seg_rules.broken(seg, series.datasets, size[2]) == []
        assert not seg.pixel_array.any()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
@pytest.mark.parametrize("source", list(KINDS))
def test_the_same_bytes_in_every_process(source: str, kind: str) -> None:
    code = (
        "import hashlib, tests.handler.volumes.test_out_seg as t;"
        f"v = t.KINDS[{source!r}](t.SMALL).volume;"
        f"print(hashlib.sha256(t.encode(v, t.landmarks(t.SMALL), t.ALGORITHM, {kind!r})).hexdigest())"
    )
    again = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = encode(KINDS[source](SMALL).volume, landmarks(SMALL), ALGORITHM, kind)
    assert again.stdout.split()[-1] == hashlib.sha256(here).hexdigest()


def test_another_result_has_another_uid() -> None:
    mask = landmarks(SMALL)
    other_mask = mask.copy()
    other_mask[0, 0, 0] = True
    volume = classic(SMALL).volume
    made = [
        encode(volume, mask, ALGORITHM),
        encode(volume, other_mask, ALGORITHM),
        encode(volume, mask, ALGORITHM, "LABELMAP"),
        encode(volume, mask, Algorithm("2.1", ALGORITHM.settings)),
        encode(volume, mask, Algorithm("2.0", (("threshold", "0.6"),))),
        encode(classic(SMALL, tags={"SeriesInstanceUID": "1.2.3"}).volume, mask, ALGORITHM),
        encode(classic(SMALL, tags={"PatientID": "P-18"}).volume, mask, ALGORITHM),
        encode(enhanced(SMALL).volume, mask, ALGORITHM),
    ]
    objects = [read(data) for data in made]
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID"):
        uids = {seg[keyword].value for seg in objects}
        assert len(uids) == len(made)
        assert all(uid.startswith("2.25.") and len(uid) <= 64 for uid in uids)
    assert all(seg.file_meta.MediaStorageSOPInstanceUID == seg.SOPInstanceUID for seg in objects)


def test_the_times_are_the_studys() -> None:
    seg = read(encode(classic(SMALL).volume, landmarks(SMALL), ALGORITHM))
    assert {seg.InstanceCreationDate, seg.ContentDate, seg.StudyDate} == {"20240229"}
    assert {seg.InstanceCreationTime, seg.ContentTime, seg.StudyTime} == {"101112.5"}
    bare = read(encode(classic(SMALL, tags={"StudyDate": None, "StudyTime": ""}).volume, landmarks(SMALL), ALGORITHM))
    assert (bare.StudyDate, bare.StudyTime) == ("", "")
    assert (bare.ContentDate, bare.ContentTime) == ("19000101", "000000")


ODD: list[dict[str, object]] = [
    dict.fromkeys(["PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID", "AccessionNumber"]),
    {"PatientName": "Müller^Jörg=山田^太郎", "SpecificCharacterSet": "ISO_IR 192"},
    {"PatientName": "Secret^^^^^^Too^Many", "PatientID": "secret" * 30, "AccessionNumber": "secret-and-far-too-long"},
    {"PatientBirthDate": "secret", "PatientSex": "secret", "PatientAge": "secret", "StudyDate": "20240231"},
    {"PatientID": ["secret", "two"], "StudyTime": "25:99", "ReferringPhysicianName": ["Secret^A", "Secret^B"]},
    {"SliceThickness": "", "PixelSpacing": None, "LossyImageCompression": "01"},
]


@pytest.mark.parametrize("tags", ODD, ids=lambda tags: next(iter(tags)))
def test_missing_and_odd_values(
    tags: dict[str, object], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """The mask is made all the same, and nothing about the patient reaches a log or a warning."""
    series = classic(SMALL, tags=tags)
    with caplog.at_level(logging.WARNING), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        data = encode(series.volume, landmarks(SMALL), ALGORITHM)
    said = caplog.text + "".join(str(warning.message) for warning in warned) + "".join(capsys.readouterr())
    assert "ecret" not in said
    with pydicom.config.disable_value_validation():
        seg, source = read(data), series.datasets[0]
        for keyword in ("PatientName", "PatientID", "AccessionNumber", "ReferringPhysicianName"):
            assert str(seg.get(keyword)) == str(source.get(keyword) or ""), "as the source has it"
        for keyword in ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime"):
            assert seg[keyword].value in (source.get(keyword), "")
    assert "ecret" not in f"{seg.PatientBirthDate}{seg.PatientSex}{seg.get('PatientAge', '')}"


@pytest.mark.parametrize(
    ("tags", "why"),
    [
        ({"SOPInstanceUID": None}, "Slice 0 has no SOPInstanceUID"),
        ({"SOPClassUID": "secret"}, "Slice 0 has no valid SOPClassUID"),
        ({"SeriesInstanceUID": None}, "Slice 0 has no SeriesInstanceUID"),
        ({"StudyInstanceUID": ""}, "Slice 0 has no StudyInstanceUID"),
        ({"FrameOfReferenceUID": None}, "Slice 0 has no FrameOfReferenceUID"),
        ({"SOPInstanceUID": "1.2.3"}, "the same SOPInstanceUID"),
    ],
)
def test_a_source_that_cannot_be_referred_to(tags: dict[str, object], why: str) -> None:
    with pytest.raises(RequestError) as refused:
        encode(classic(SMALL, tags=tags).volume, landmarks(SMALL), ALGORITHM)
    assert refused.value.code == "not_acceptable"
    assert why in refused.value.detail
    assert "application/x-nifti" in refused.value.detail
    assert "secret" not in refused.value.detail


def test_slices_of_two_studies() -> None:
    series = classic(SMALL)
    series.volume.source.datasets[2].StudyInstanceUID = "1.2.3"  # type: ignore[union-attr]
    with pytest.raises(RequestError, match="The slices name 2 studies"):
        encode(series.volume, landmarks(SMALL), ALGORITHM)


def test_a_series_uid_for_each_slice() -> None:
    """As some de-identify."""
    series = classic(SMALL)
    for number, (ours, theirs) in enumerate(zip(series.volume.source.datasets, series.datasets, strict=True)):  # type: ignore[union-attr]
        ours.SeriesInstanceUID = theirs.SeriesInstanceUID = f"1.2.3.{number}"
    seg = read(encode(series.volume, landmarks(SMALL), ALGORITHM))
    assert len(seg.ReferencedSeriesSequence) == 5
    assert seg_rules.broken(seg, series.datasets, 5) == []


def test_a_nifti_has_no_frames() -> None:
    volume = Volume(np.zeros((5, 24, 16), np.float32), SMALL, NiftiSource(None), Acquisition(), "nifti", "ab")
    with pytest.raises(RequestError, match="the scan came as NIfTI"):
        encode(volume, landmarks(SMALL), ALGORITHM)


def test_a_mask_of_another_shape() -> None:
    with pytest.raises(ValueError, match="on a grid of"):
        encode(classic(SMALL).volume, np.zeros((5, 24, 17), bool), ALGORITHM)


def test_workers_that_see_pictures_only_load_none_of_it() -> None:
    code = (
        "import sys, handler.volumes.lesions, handler.volumes.out.nifti, handler.volumes.out.seg;"
        "sys.exit(bool({'pydicom', 'highdicom', 'nibabel'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
