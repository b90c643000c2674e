#!/usr/bin/env bash
# A CT series of six slices with the gantry tilted by 20 degrees (positions go straight up, rows and columns are tilted), three
# readers; one bright voxel a slice says where each slice went. SimpleITK 2.5.7 stacks along the normal, with no word: the last slice is
# 8.7 mm off. dcm2niix 1.0.20260724 writes the scan as it is without the shear (dcm2niix#697), and a copy of its own, resampled, ending
# in _Tilt_1: that one is right to half a millimetre where the rows tilt to one side, and 17 mm off along the body where they tilt to
# the other (an origin of that kind was mended in dcm2niix#259). dicom2nifti 2.6.2 refuses. Look at the angle between the positions'
# step and the normal before anything else.
# Seen: -20 degrees: SimpleITK 8.7 mm off, _Tilt_1 0.4 mm; +20 degrees: SimpleITK 8.7 mm, _Tilt_1 17.5 mm
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check SimpleITK==2.5.7 dcm2niix==1.0.20260724 \
    dicom2nifti==2.6.2 nibabel==5.4.2 pydicom==3.0.2 numpy==2.4.6
cd "$folder"
cat > read.py <<"PY"
import logging
import math
import pathlib
import subprocess
import sys

import dicom2nifti
import nibabel
import numpy as np
import SimpleITK
from pydicom.dataset import Dataset, FileMetaDataset

logging.disable(logging.CRITICAL)
degrees = int(sys.argv[1])
cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
series, niix = pathlib.Path(f"series{degrees}"), pathlib.Path(f"niix{degrees}")
series.mkdir()
niix.mkdir()
for k in range(6):
    one = Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID = f"2.25.1{k}"
    one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = "2.25.2", "2.25.3", "2.25.4"
    one.PatientID = one.StudyID = "1"
    one.PatientName = one.PatientBirthDate = one.PatientSex = one.AccessionNumber = one.ReferringPhysicianName = ""
    one.StudyDate, one.StudyTime, one.Modality, one.SeriesNumber = "20200101", "000000", "CT", 1
    one.ImageType, one.Rows, one.Columns, one.PatientPosition = ["ORIGINAL", "PRIMARY", "AXIAL"], 16, 16, "HFS"
    one.PixelSpacing, one.SliceThickness, one.InstanceNumber, one.GantryDetectorTilt = [1, 1], 5, k + 1, degrees
    one.ImagePositionPatient, one.ImageOrientationPatient = [0, 0, 5.0 * k], [1, 0, 0, 0, cos, sin]
    one.RescaleSlope, one.RescaleIntercept = 1, 0
    one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 12, 11, 0
    plane = np.zeros((16, 16), np.uint16)
    plane[8, 8] = 1000
    one.PixelData = plane.tobytes()
    one.save_as(series / f"{k}.dcm", enforce_file_format=True)
true = np.array([(8, 8 * cos, 8 * sin + 5 * k) for k in range(6)])


def off(points):
    return round(float(np.linalg.norm(np.array(points) - true, axis=1).max()), 1)


reader = SimpleITK.ImageSeriesReader()
reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(series)))
image = reader.Execute()
itk = off([image.TransformIndexToPhysicalPoint((8, 8, k)) for k in range(6)])
subprocess.run([pathlib.Path("venv/bin/dcm2niix"), "-o", niix, series], check=True, capture_output=True)
(resampled,) = niix.glob("*_Tilt_1.nii")
written = nibabel.load(resampled)
voxels, points = written.get_fdata(), []
for k in range(voxels.shape[2]):
    brightest = np.unravel_index(np.argmax(voxels[..., k]), voxels.shape[:2])
    points.append(nibabel.affines.apply_affine(written.affine, (*brightest, k)) * (-1, -1, 1))  # RAS to the LPS of DICOM
points = sorted(points, key=lambda point: point[2])
try:
    dicom2nifti.dicom_series_to_nifti(series, f"{degrees}.nii")
    raise SystemExit("changed: dicom2nifti takes it")
except dicom2nifti.exceptions.ConversionValidationError:
    print(itk, off(points))
PY
for degrees in -20 20; do
    seen[degrees + 20]=$(venv/bin/python read.py $degrees 2>said)
    [ ! -s said ] || { echo "changed: something was said:"; cat said; exit 1; }
done
[ "${seen[0]} ${seen[40]}" = "8.7 0.4 8.7 17.5" ] || { echo "changed: ${seen[0]} ${seen[40]}"; exit 1; }
echo "SimpleITK and _Tilt_1, mm off: -20 degrees ${seen[0]}; +20 degrees ${seen[40]}"
