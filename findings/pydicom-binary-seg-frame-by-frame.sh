#!/usr/bin/env bash
# pydicom 3.0.2 reads a BINARY Segmentation of highdicom 0.28.2 whole at every size, but not frame by frame: frames begin in the
# middle of a byte where rows x columns is no multiple of 8, and then pixel_array(index=k) raises ValueError for some k, by the size
# alone (0 is always right; at 181 x 217 every other one fails). Read the whole, then take the frame.
# Seen: 16 x 16: all frames; 181 x 217: frames 0, 2 of 4; 3 x 5: frames 0 of 4
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check highdicom==0.28.2 pydicom==3.0.2 numpy==2.4.6
cd "$folder"
venv/bin/python - <<"PY"
import highdicom as hd
import numpy as np
from highdicom.seg import Segmentation, SegmentAlgorithmTypeValues, SegmentationTypeValues, SegmentDescription
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.pixels import pixel_array


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


maker = hd.AlgorithmIdentificationSequence("maker", codes.cid7162.ArtificialIntelligence, "1")
segment = SegmentDescription(
    1, "part", codes.cid7151.Brain, codes.cid7151.Brain, SegmentAlgorithmTypeValues.AUTOMATIC, maker
)
seen = []
for rows, columns in ((16, 16), (181, 217), (3, 5)):
    series = [source(k) for k in range(4)]
    for one in series:
        one.Rows, one.Columns = rows, columns
    mask = np.zeros((4, rows, columns), np.uint8)
    mask[:, rows - 1] = 1
    made = Segmentation(
        series, mask, SegmentationTypeValues.BINARY, [segment], "2.25.9", 1, "2.25.10", 1, "m", "m", "1", "0"
    )
    made.save_as("mask.dcm")
    whole = pixel_array("mask.dcm")
    assert np.array_equal(whole, mask)
    read = []
    for k in range(4):
        try:
            frame = pixel_array("mask.dcm", index=k)
        except ValueError as error:
            assert "cannot reshape" in str(error), error
        else:
            assert np.array_equal(frame, whole[k])
            read.append(k)
    seen.append(read)
assert seen == [[0, 1, 2, 3], [0, 2], [0]], f"changed: {seen}"
print("16 x 16: all frames; 181 x 217: frames 0, 2 of 4; 3 x 5: frames 0 of 4")
PY
