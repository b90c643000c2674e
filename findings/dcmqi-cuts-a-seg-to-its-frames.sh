#!/usr/bin/env bash
# dcmqi 1.5.7's segimage2itkimage makes a volume of the frames that are in the SEG, not of the series it refers to: empty slices, which
# most writers leave out, are cut off, so the size and the origin are others than the scan's (the millimetres are right). Resample onto
# the scan's grid before comparing arrays, or write empty frames too.
# Seen: series of 6 slices from 0 mm; volume of 2 slices from 10 mm
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check highdicom==0.28.2 pydicom==3.0.2 numpy==2.4.6 SimpleITK==2.5.7 dcmqi==1.5.7
cd "$folder"
cat > make.py <<"PY"
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


mask = np.zeros((6, 16, 16), np.uint8)
mask[2:4, 4:8, 4:8] = 1
made(mask, SegmentationTypeValues.BINARY).save_as("seg.dcm")
PY
venv/bin/python make.py
mkdir volumes
PATH="$folder/venv/bin:$PATH" segimage2itkimage --inputDICOM seg.dcm --outputDirectory volumes -t nifti >log 2>&1
venv/bin/python - <<"PY"
import SimpleITK as sitk

volume = sitk.ReadImage("volumes/1.nii.gz")
seen = (volume.GetSize()[2], volume.GetOrigin()[2])
assert seen == (2, 10.0), f"changed: {seen}"
print("series of 6 slices from 0 mm; volume of {} slices from {:.0f} mm".format(*seen))
PY
