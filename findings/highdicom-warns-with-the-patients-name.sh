#!/usr/bin/env bash
# highdicom 0.28.2: a Segmentation over a series whose PatientName has one component without "^" (valid)
# gives a UserWarning with the name in it. With logging.captureWarnings(True), the
# name is in the log at level WARNING. Make the object within warnings.catch_warnings, or give it a copy without the name.
# Seen: Doe^Jane: 0 lines with the name; Jane Doe: 1
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check highdicom==0.28.2 pydicom==3.0.2 numpy==2.4.6
cd "$folder"
venv/bin/python - <<"PY"
import io
import logging

import highdicom as hd
import numpy as np
from highdicom.seg import Segmentation, SegmentAlgorithmTypeValues, SegmentationTypeValues, SegmentDescription
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes


def source(k):
    one = Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    one.SOPClassUID, one.SOPInstanceUID, one.Modality = "1.2.840.10008.5.1.4.1.1.4", f"2.25.1{k}", "MR"
    one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = "2.25.2", "2.25.3", "2.25.4"
    one.PatientID = one.StudyID = "1"
    one.PatientName = one.PatientBirthDate = one.PatientSex = one.AccessionNumber = one.ReferringPhysicianName = ""
    one.StudyDate, one.StudyTime = "20200101", "000000"
    one.Rows = one.Columns = 16
    one.PixelSpacing, one.SliceThickness, one.InstanceNumber = [1, 1], 5, k + 1
    one.ImagePositionPatient, one.ImageOrientationPatient = [0, 0, 5.0 * k], [1, 0, 0, 0, 1, 0]
    return one


log = io.StringIO()
logging.basicConfig(stream=log, level=logging.WARNING)
logging.captureWarnings(True)
mask = np.zeros((3, 16, 16), np.uint8)
mask[:, 4:8, 4:8] = 1
maker = hd.AlgorithmIdentificationSequence("maker", codes.cid7162.ArtificialIntelligence, "1")
segment = SegmentDescription(
    1, "part", codes.cid7151.Brain, codes.cid7151.Brain, SegmentAlgorithmTypeValues.AUTOMATIC, maker
)
counts = []
for name in ("Doe^Jane", "Jane Doe"):
    series = [source(k) for k in range(3)]
    for one in series:
        one.PatientName = name
    Segmentation(
        series, mask, SegmentationTypeValues.BINARY, [segment], "2.25.9", 1, "2.25.10", 1, "m", "m", "1", "0"
    )
    counts.append(sum(name in line for line in log.getvalue().splitlines()))
assert counts == [0, 1], f"changed: {counts}"
print(f"Doe^Jane: {counts[0]} lines with the name; Jane Doe: {counts[1]}")
PY
