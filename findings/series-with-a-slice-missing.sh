#!/usr/bin/env bash
# A DICOM series with one slice missing (planes at 0, 5, 10, 20, 25 mm), three readers, none fails. SimpleITK 2.5.7:
# 5 slices of 6.25 mm, so slices lie up to 2.5 mm off, with a line on stderr. dcm2niix 1.0.20260724: exit 0 and two files, one of 5
# slices of 5 mm (what is above the gap lies 5 mm too low), one ending in _Eq_1 with a slice of its own making in the gap.
# dicom2nifti 2.6.2: convert_directory returns as if well, no file. Look at the positions first.
# Seen: SimpleITK 5 x 6.25; dcm2niix 5 x 5.0, 6 x 5.0 (100 105 110 115 120 125); dicom2nifti 0 files
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check SimpleITK==2.5.7 dcm2niix==1.0.20260724 dicom2nifti==2.6.2 nibabel==5.4.2 pydicom==3.0.2 numpy==2.4.6
cd "$folder"
venv/bin/python - <<"PY"
import logging
import pathlib
import subprocess

import dicom2nifti
import nibabel
import numpy as np
import SimpleITK
from pydicom.dataset import Dataset, FileMetaDataset

for name in ("series", "niix", "d2n"):
    pathlib.Path(name).mkdir()
for k, z in enumerate((0, 5, 10, 20, 25)):
    one = Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID = f"2.25.1{k}"
    one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = "2.25.2", "2.25.3", "2.25.4"
    one.PatientID = one.StudyID = "1"
    one.PatientName = one.PatientBirthDate = one.PatientSex = one.AccessionNumber = one.ReferringPhysicianName = ""
    one.StudyDate, one.StudyTime, one.Modality, one.SeriesNumber = "20200101", "000000", "MR", 1
    one.ImageType, one.Rows, one.Columns = ["ORIGINAL", "PRIMARY"], 16, 16
    one.PixelSpacing, one.SliceThickness, one.InstanceNumber = [1, 1], 5, k + 1
    one.ImagePositionPatient, one.ImageOrientationPatient = [0, 0, float(z)], [1, 0, 0, 0, 1, 0]
    one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 12, 11, 0
    one.PixelData = np.full((16, 16), 100 + z, np.uint16).tobytes()
    one.save_as(f"series/{k}.dcm", enforce_file_format=True)

reader = SimpleITK.ImageSeriesReader()
reader.SetFileNames(reader.GetGDCMSeriesFileNames("series"))
image = reader.Execute()
itk = (image.GetSize()[2], image.GetSpacing()[2])
subprocess.run(["venv/bin/dcm2niix", "-o", "niix", "series"], check=True, capture_output=True)
niix = {}
for file in pathlib.Path("niix").glob("*.nii"):
    read = nibabel.load(file)
    assert float(read.header.get_zooms()[2]) == 5
    niix["Eq" in file.name] = [int(value) for value in read.get_fdata()[0, 0]]
logging.disable(logging.CRITICAL)
dicom2nifti.convert_directory("series", "d2n")
files = len(list(pathlib.Path("d2n").iterdir()))
assert itk == (5, 6.25), f"changed: SimpleITK {itk}"
assert niix == {False: [100, 105, 110, 120, 125], True: [100, 105, 110, 115, 120, 125]}, f"changed: dcm2niix {niix}"
assert files == 0, f"changed: dicom2nifti wrote {files}"
print("SimpleITK 5 x 6.25; dcm2niix 5 x 5.0, 6 x 5.0 (100 105 110 115 120 125); dicom2nifti 0 files")
PY
