"""Structured reports: read by others without a word, the diameter on its source image, equal bytes."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom import Dataset

from handler.volumes import lesions
from handler.volumes.out import seg, sr
from handler.volumes.out.algorithm import NOTICE, Algorithm
from tests.handler.volumes.series import Series, classic, landmarks, save
from tests.handler.volumes.test_out_seg import ALGORITHM, KINDS, SMALL, TOOLS


def made(series: Series, mask: np.ndarray | None = None, algorithm: Algorithm = ALGORITHM) -> dict[str, bytes]:
    mask = landmarks(SMALL) if mask is None else mask
    segmentation = seg.encode(series.volume, mask, algorithm)
    found = lesions.measure(mask, SMALL)
    return {
        "seg.dcm": segmentation,
        **sr.encode(series.volume, found, [found.tumor_volume_ml], segmentation, algorithm),
    }


def read(data: bytes) -> Dataset:
    return pydicom.dcmread(io.BytesIO(data))


def found_in(item: Dataset, value_type: str) -> list[Dataset]:
    below = [found for child in item.get("ContentSequence", ()) for found in found_in(child, value_type)]
    return [item, *below] if item.get("ValueType") == value_type else below


@pytest.mark.parametrize("source", list(KINDS))
def test_the_diameter_lies_on_its_source_image(source: str) -> None:
    series = KINDS[source](SMALL)
    report = read(made(series)[sr.DIAMETERS])
    (lesion,) = [lesion for lesion in lesions.measure(landmarks(SMALL), SMALL).found if lesion.longest_mm > 0]
    (number,) = found_in(report, "NUM")
    assert float(number.MeasuredValueSequence[0].NumericValue) == pytest.approx(lesion.longest_mm, abs=1e-3)
    (line,), (image,) = found_in(number, "SCOORD"), found_in(number, "IMAGE")
    assert line.GraphicType == "POLYLINE"
    reference = image.ReferencedSOPSequence[0]
    frame = series.volume.source.frames[lesion.diameter.slice]  # type: ignore[union-attr]
    dataset = series.datasets[frame.dataset]
    assert (reference.ReferencedSOPInstanceUID, reference.ReferencedSOPClassUID) == (
        dataset.SOPInstanceUID,
        dataset.SOPClassUID,
    )
    assert reference.get("ReferencedFrameNumber") == (None if source == "classic" else frame.frame)
    # Read back by the source's own geometry: as long, and from tumor to tumor.
    ends = np.array(line.GraphicData, float).reshape(2, 2) - 0.5
    apart = np.linalg.norm((ends[1] - ends[0]) * SMALL.spacing_mm[:2])
    print(f"{source}: the line is {apart:.3f} mm long, the report says {number.MeasuredValueSequence[0].NumericValue}")
    assert apart == pytest.approx(lesion.longest_mm)
    for column, row in ends.astype(int):
        assert landmarks(SMALL)[lesion.diameter.slice, row, column]


@pytest.mark.parametrize("source", list(KINDS))
def test_the_volume_stands_on_the_segment(source: str) -> None:
    files = made(KINDS[source](SMALL))
    report, segmentation = read(files[sr.VOLUME]), read(files["seg.dcm"])
    (number,), (image,) = found_in(report, "NUM"), found_in(report, "IMAGE")
    assert float(number.MeasuredValueSequence[0].NumericValue) == pytest.approx(
        landmarks(SMALL).sum() * SMALL.voxel_ml, abs=1e-4
    )
    assert number.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue == "mL"
    assert image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == segmentation.SOPInstanceUID
    assert image.ReferencedSOPSequence[0].ReferencedSegmentNumber == 1


@pytest.mark.parametrize("source", list(KINDS))
def test_the_verifiers_and_readers_find_no_error(source: str, tmp_path: Path) -> None:
    series = KINDS[source](SMALL)
    paths = save(series, tmp_path)
    files = made(series)
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    reports = [tmp_path / name for name in (sr.DIAMETERS, sr.VOLUME)]
    tools: list[list[str | Path]] = [[TOOLS / "dcentvfy", *paths, tmp_path / "seg.dcm", *reports]]
    tools += [[TOOLS / "dciodvfy", report] for report in reports]
    tools += [["dsrdump", report] for report in reports if shutil.which("dsrdump")]
    tools += [
        [TOOLS / "tid1500reader", "--inputDICOM", report, "--outputMetadata", report.with_suffix(".json")]
        for report in reports
    ]
    for command in tools:
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        print(f"{Path(command[0]).name}, {source}: status {ran.returncode}, {ran.stderr.strip()!r}")
        assert ran.returncode == 0
        bad = ("Error", "Abort", "E:", "W:", "Warning")
        # dcentvfy warns that SEG and SR keep the accession number in other modules.
        wrong = [
            line for line in ran.stderr.splitlines() if line.startswith(bad) and "information entities" not in line
        ]
        assert wrong == []
    read_back = json.loads((tmp_path / "sr-volume.json").read_text())
    assert (
        read_back["segmentationSOPInstanceUID" if "Measurements" not in read_back else "CompletionFlag"] == "COMPLETE"
    )
    assert read_back["Measurements"][0]["measurementItems"][0]["value"] == "0.1008"
    if not shutil.which("dsrdump"):
        pytest.skip("dciodvfy, dcentvfy and tid1500reader pass, dsrdump is not here: Debian's dcmtk has it")


def test_what_they_say_of_themselves() -> None:
    for name, data in made(classic(SMALL)).items():
        if name == "seg.dcm":
            continue
        report = read(data)
        assert (report.CompletionFlag, report.VerificationFlag, report.PreliminaryFlag) == (
            "COMPLETE",
            "UNVERIFIED",
            "PRELIMINARY",
        )
        assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
        texts = [item.TextValue for item in found_in(report, "TEXT")]
        assert {NOTICE, "brainseg", "2.0", "threshold=0.5"} <= set(texts)
        assert report.PatientID == "P-17"
        assert highdicom.sr.ComprehensiveSR.from_dataset(report).content


def test_no_diameter_where_there_is_none() -> None:
    single = np.zeros(SMALL.shape, bool)
    single[1, 2, 3] = True
    assert set(made(classic(SMALL), single)) == {"seg.dcm", sr.VOLUME}
    empty = made(classic(SMALL), np.zeros(SMALL.shape, bool))
    assert set(empty) == {"seg.dcm", sr.VOLUME}
    (number,) = found_in(read(empty[sr.VOLUME]), "NUM")
    assert float(number.MeasuredValueSequence[0].NumericValue) == 0


def test_a_series_uid_for_each_slice() -> None:
    series = classic(SMALL)
    for number, dataset in enumerate(series.volume.source.datasets):  # type: ignore[union-attr]
        dataset.SeriesInstanceUID, dataset.SOPInstanceUID = f"2.25.{number + 2}", f"2.25.{9 - number}"
    report = read(made(series)[sr.VOLUME])
    named = [item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in found_in(report, "IMAGE")]
    assert named[1:] == [f"2.25.{9 - number}" for number in range(5)]
    listed = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert [item.SeriesInstanceUID for item in listed[:5]] == [f"2.25.{number + 2}" for number in range(5)]


@pytest.mark.slow
def test_the_same_bytes_in_every_process_and_another_uid_for_another_result() -> None:
    code = (
        "import hashlib, tests.handler.volumes.test_out_sr as t;"
        "print(hashlib.sha256(b''.join(t.made(t.classic(t.SMALL)).values())).hexdigest())"
    )
    again = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = made(classic(SMALL))
    assert again.stdout.split()[-1] == hashlib.sha256(b"".join(here.values())).hexdigest()
    moved = landmarks(SMALL)[:, ::-1].copy()
    others = [made(classic(SMALL), moved), made(classic(SMALL), algorithm=Algorithm("2.1"))]
    objects = [read(data) for files in (here, *others) for data in files.values()]
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID"):
        assert len({report[keyword].value for report in objects}) == len(objects) == 9
