#!/usr/bin/env bash
# highdicom 0.28.2: sr.ReferencedSegment.from_segmentation raises AttributeError on a SEG of one segment that highdicom itself wrote: it
# looks for the segment in each frame, and with one segment the writer puts it into the shared groups. Give the frame numbers and the
# source images by hand.
# Seen: AttributeError: 'Dataset' object has no attribute 'SegmentIdentificationSequence'
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


mask = np.zeros((3, 16, 16), np.uint8)
mask[:, 4:8, 4:8] = 1
seg = made(mask, SegmentationTypeValues.BINARY)
try:
    hd.sr.ReferencedSegment.from_segmentation(seg, segment_number=1)
except AttributeError as error:
    assert "SegmentIdentificationSequence" in str(error), f"changed: {error}"
    print(f"AttributeError: {error}")
else:
    raise SystemExit("changed: it is referenced")
PY
