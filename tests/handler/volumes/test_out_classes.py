"""A mask of several classes goes out: a segment and a group each, read back by other programs."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import highdicom
import nibabel
import numpy as np
import pytest
from highdicom.color import CIELabColor
from numpy.typing import NDArray

from handler.volumes import lesions
from handler.volumes.out import bundle, seg, sr
from handler.volumes.out.algorithm import Algorithm, segments_of
from prove.drawn.places import apart, in_mm
from tests.handler.volumes import seg_rules
from tests.handler.volumes.series import grid_of, save
from tests.handler.volumes.test_out_seg import KINDS, TO_LPS, by_nifti_readers, read
from tests.handler.volumes.test_out_sr import found_in
from tests.labelled import ENHANCING, LABELS, NECROSIS, OEDEMA

ALGORITHM = Algorithm("0.1", (("threshold", "0.5"),), "brainseg-regions", segments_of(LABELS))
TOOLS = Path(sys.executable).parent
GRID = grid_of((16, 24, 5))
ODD = grid_of((13, 11, 4))  # a frame does not fill its bytes


def mask_of(shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """All three labels, unlike under any turn or flip; the first slice stays empty."""
    mask = np.zeros(shape, np.uint8)
    mask[1:3, 2:9, 1:8] = OEDEMA
    mask[2, 4:7, 2:5], mask[2, 5, 3:6] = ENHANCING, NECROSIS
    mask[-1, -1, -1] = ENHANCING
    return mask


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
@pytest.mark.parametrize("source", list(KINDS))
def test_each_segment_comes_back_where_its_label_is(source: str, kind: str) -> None:
    for grid in (GRID, ODD):
        series, mask = KINDS[source](grid, 7.0), mask_of(grid.shape)
        dataset = read(seg.encode(series.volume, mask, ALGORITHM, kind))
        assert seg_rules.broken(dataset, series.datasets, grid.shape[0]) == []
        read_back = highdicom.seg.Segmentation.from_dataset(dataset)
        volume = read_back.get_volume(combine_segments=True)
        numbers = [described.SegmentNumber for described in dataset.SegmentSequence]
        assert numbers == [1, 2, 3] + [0] * (kind == "LABELMAP"), "each in the place of its number, as OHIF counts them"
        for label in LABELS:
            found = in_mm(volume.array == label.value, (TO_LPS @ volume.affine)[:, [2, 1, 0, 3]])
            assert apart(found, in_mm(mask == label.value, grid.affine_ras)) < 0.01
            told = read_back.get_segment_description(label.value)
            assert told.segment_label == label.name
            code = told.segmented_property_type
            assert (code.value, code.scheme_designator) == (label.code.value, label.code.scheme)
            shown = CIELabColor.from_dicom_value(tuple(told.RecommendedDisplayCIELabValue)).to_rgb()
            np.testing.assert_allclose(shown, label.colour, atol=2)


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
@pytest.mark.parametrize("source", list(KINDS))
def test_the_verifiers_find_no_error(source: str, kind: str, tmp_path: Path) -> None:
    series, mask = KINDS[source](GRID), mask_of(GRID.shape)
    paths = save(series, tmp_path)
    (tmp_path / "seg.dcm").write_bytes(seg.encode(series.volume, mask, ALGORITHM, kind))
    reports = sr.encode(
        series.volume, lesions.measure(mask > 0, GRID), [1.0, 2.0, 3.0], (tmp_path / "seg.dcm").read_bytes(), ALGORITHM
    )
    for name, data in reports.items():
        (tmp_path / name).write_bytes(data)
    # Debian's dciodvfy takes a label map for something that has no segments.
    checked = reports if kind == "BINARY" else ()
    written = [tmp_path / "seg.dcm", *(tmp_path / name for name in checked)]
    for tool, files in (*(("dciodvfy", [one]) for one in written), ("dcentvfy", [*written, *paths])):
        ran = subprocess.run([TOOLS / tool, *files], capture_output=True, text=True, check=False, timeout=120)
        said = (ran.stdout + ran.stderr).splitlines()
        assert [line for line in said if "Error" in line or "Abort" in line] == []


def test_dcmqi_reads_a_file_a_segment(tmp_path: Path) -> None:
    series, mask = KINDS["classic"](GRID, 7.0), mask_of(GRID.shape)
    (tmp_path / "seg.dcm").write_bytes(seg.encode(series.volume, mask, ALGORITHM, "BINARY"))
    tool = ["segimage2itkimage", "--inputDICOM", "seg.dcm", "--outputDirectory", ".", "-t", "nii"]
    subprocess.run([TOOLS / tool[0], *tool[1:]], cwd=tmp_path, check=True, capture_output=True, timeout=120)
    for label in LABELS:
        for name, (points, _) in by_nifti_readers(tmp_path / f"{label.value}.nii.gz").items():
            assert apart(points, in_mm(mask == label.value, GRID.affine_ras)) < 0.01, name


def test_a_label_that_is_nowhere_is_an_empty_segment() -> None:
    mask = mask_of(GRID.shape)
    mask[mask == NECROSIS] = OEDEMA
    for kind in seg.KINDS:
        dataset = read(seg.encode(KINDS["classic"](GRID).volume, mask, ALGORITHM, kind))
        named = [s.SegmentLabel for s in dataset.SegmentSequence if s.SegmentNumber]
        assert named == [label.name for label in LABELS]
        volume = highdicom.seg.Segmentation.from_dataset(dataset).get_volume(combine_segments=True)
        assert set(np.unique(volume.array)) == {0, OEDEMA, ENHANCING}


def test_a_group_of_the_report_stands_on_each_segment() -> None:
    mask = mask_of(GRID.shape)
    packed = bundle.encode(KINDS["classic"](GRID).volume, mask, ALGORITHM, b"{}")
    with zipfile.ZipFile(io.BytesIO(packed)) as files:
        report, segmentation = read(files.read(sr.VOLUME)), read(files.read(bundle.SEG))
        image = nibabel.Nifti1Image.from_bytes(gzip.decompress(files.read(bundle.MASK)))
    numbers = [float(one.MeasuredValueSequence[0].NumericValue) for one in found_in(report, "NUM")]
    wanted = [np.count_nonzero(mask == label.value) * GRID.voxel_ml for label in LABELS]
    assert numbers == pytest.approx(wanted, abs=1e-4)
    on = [one.ReferencedSOPSequence[0] for one in found_in(report, "IMAGE")]
    assert [one.ReferencedSegmentNumber for one in on] == [1, 2, 3]
    assert {one.ReferencedSOPInstanceUID for one in on} == {segmentation.SOPInstanceUID}
    assert len({one.UID for one in found_in(report, "UIDREF")}) >= 3
    np.testing.assert_array_equal(np.asarray(image.dataobj).T, mask)
    assert image.get_data_dtype() == np.uint8
