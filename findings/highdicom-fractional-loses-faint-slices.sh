#!/usr/bin/env bash
# highdicom 0.28.2 leaves out of a FRACTIONAL SEG the slices whose largest value rounds to 0 of 255 (below 0.00196), without a word, as
# if they had been empty: what comes back has fewer slices than went in, and frame i is not slice i. It also stores them from the
# highest position along the normal to the lowest. omit_empty_frames=False keeps all of them.
# Seen: slices with 0.0019 are gone, with 0.002 are there: positions 15 10 of 0 to 15; with omit_empty_frames=False 15 10 5 0
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


def source(k, side):
    one = Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    one.SOPClassUID, one.SOPInstanceUID, one.Modality = "1.2.840.10008.5.1.4.1.1.4", f"2.25.1{k}", "MR"
    one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = "2.25.2", "2.25.3", "2.25.4"
    one.PatientID = one.StudyID = "1"
    one.PatientName = one.PatientBirthDate = one.PatientSex = one.AccessionNumber = one.ReferringPhysicianName = ""
    one.StudyDate, one.StudyTime = "20200101", "000000"
    one.Rows = one.Columns = side
    one.PixelSpacing, one.SliceThickness, one.InstanceNumber = [1, 1], 5, k + 1
    one.ImagePositionPatient, one.ImageOrientationPatient = [0, 0, 5.0 * k], [1, 0, 0, 0, 1, 0]
    return one


def made(pixels, kind, **options):
    maker = hd.AlgorithmIdentificationSequence("maker", codes.cid7162.ArtificialIntelligence, "1")
    segment = SegmentDescription(
        1, "part", codes.cid7151.Brain, codes.cid7151.Brain, SegmentAlgorithmTypeValues.AUTOMATIC, maker
    )
    sources = [source(k, pixels.shape[1]) for k in range(len(pixels))]
    return Segmentation(sources, pixels, kind, [segment], "2.25.9", 1, "2.25.8", 1, "m", "m", "1", "1", **options)


values = np.zeros((4, 16, 16))
values[0, 3, 3], values[1, 3, 3], values[2, 3, 3], values[3, 3, 3] = 0.0019, 0.0019, 0.002, 0.5


def positions(seg):
    return [float(one.PlanePositionSequence[0].ImagePositionPatient[2]) for one in seg.PerFrameFunctionalGroupsSequence]


default = positions(made(values, SegmentationTypeValues.FRACTIONAL))
whole = positions(made(values, SegmentationTypeValues.FRACTIONAL, omit_empty_frames=False))
assert default == [15, 10] and whole == [15, 10, 5, 0], f"changed: {default} {whole}"
print("slices written at", *default, "of 0 to 15; all of them at", *whole)
PY
