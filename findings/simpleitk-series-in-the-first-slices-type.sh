#!/usr/bin/env bash
# A DICOM series whose slices each have a RescaleSlope of their own, as PET has them. SimpleITK 2.5.7 takes the type of the whole volume
# from the first file: where that has slope 1, the others' values are cut down to whole numbers, with no word, and slices of small slopes
# are all 0. With another slice first the same series is right. dcm2niix 1.0.20260724 and dicom2nifti 2.6.2 go over to fractions.
# SimpleITK#1636 has it as a confirmed bug. Say SetOutputPixelType(sitkFloat32) before Execute.
# Seen: slopes 1 0.5 0.005 2 of 101: SimpleITK 101 50 0 202 (uint16), with the type said 101 50.5 0.505 202, as dcm2niix, dicom2nifti
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check SimpleITK==2.5.7 dcm2niix==1.0.20260724 \
    dicom2nifti==2.6.2 nibabel==5.4.2 pydicom==3.0.2 numpy==2.4.6
cd "$folder"
cat > read.py <<"PY"
import logging
import pathlib
import subprocess

import dicom2nifti
import nibabel
import numpy as np
import SimpleITK
from pydicom.dataset import Dataset, FileMetaDataset

logging.disable(logging.CRITICAL)
slopes = (1, 0.5, 0.005, 2)
for name in ("series", "niix"):
    pathlib.Path(name).mkdir()
for k, slope in enumerate(slopes):
    one = Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID = "1.2.840.10008.5.1.4.1.1.128"
    one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID = f"2.25.1{k}"
    one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = "2.25.2", "2.25.3", "2.25.4"
    one.PatientID = one.StudyID = "1"
    one.PatientName = one.PatientBirthDate = one.PatientSex = one.AccessionNumber = one.ReferringPhysicianName = ""
    one.StudyDate, one.StudyTime, one.Modality, one.SeriesNumber = "20200101", "000000", "PT", 1
    one.ImageType, one.Rows, one.Columns, one.Units = ["ORIGINAL", "PRIMARY"], 16, 16, "BQML"
    one.PixelSpacing, one.SliceThickness, one.InstanceNumber = [1, 1], 5, k + 1
    one.ImagePositionPatient, one.ImageOrientationPatient = [0, 0, 5.0 * k], [1, 0, 0, 0, 1, 0]
    one.RescaleSlope, one.RescaleIntercept = slope, 0
    one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 0
    one.PixelData = np.full((16, 16), 101, np.uint16).tobytes()
    one.save_as(f"series/{k}.dcm", enforce_file_format=True)
right = [101 * slope for slope in slopes]


def itk(kind=None, back=False):
    reader = SimpleITK.ImageSeriesReader()
    names = reader.GetGDCMSeriesFileNames("series")
    reader.SetFileNames(names[::-1] if back else names)
    if kind is not None:
        reader.SetOutputPixelType(kind)
    image = reader.Execute()
    return image.GetPixelIDTypeAsString(), [float(image[0, 0, k]) for k in range(4)]


plain, said = itk(), itk(SimpleITK.sitkFloat32)
assert plain == ("16-bit unsigned integer", [101, 50, 0, 202]), f"changed: SimpleITK {plain}"
assert np.allclose(said[1], right), f"changed: SimpleITK with the type said {said}"
subprocess.run(["venv/bin/dcm2niix", "-o", "niix", "series"], check=True, capture_output=True)
(file,) = pathlib.Path("niix").glob("*.nii")
assert np.allclose(nibabel.load(file).get_fdata()[0, 0], right), "changed: dcm2niix"
dicom2nifti.dicom_series_to_nifti("series", "d2n.nii", reorient_nifti=False)
assert np.allclose(nibabel.load("d2n.nii").get_fdata()[0, 0], right), "changed: dicom2nifti"
print(plain, said)
PY
venv/bin/python read.py 2>said
[ ! -s said ] || { echo "changed: something was said:"; cat said; exit 1; }
