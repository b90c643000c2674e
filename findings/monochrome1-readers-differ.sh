#!/usr/bin/env bash
# A series with PhotometricInterpretation MONOCHROME1, which by the standard says how to show it (small is white, after all other
# transformations) and leaves the values as they are: here Hounsfield units, RescaleIntercept -1024. SimpleITK 2.5.7 turns the stored
# numbers round within BitsStored and rescales them then, so air is 3071 and bone the darkest, keeps MONOCHROME1 in its metadata (who
# goes by it turns them a second time), and says nothing. highdicom 0.28.2 does the same unless apply_presentation_lut=False. pydicom
# 3.0.2, dcm2niix 1.0.20260724 and dicom2nifti 2.6.2 give the values as they are. Mostly radiographs have it, any slices may.
# Seen: air, water, bone -1024 0 976: pydicom, dcm2niix, dicom2nifti, highdicom without LUT so; SimpleITK, highdicom 3071 2047 1071
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check highdicom==0.28.2 pydicom==3.0.2 SimpleITK==2.5.7 \
    dcm2niix==1.0.20260724 dicom2nifti==2.6.2 nibabel==5.4.2 numpy==2.4.6
cd "$folder"
cat > read.py <<"PY"
import logging
import pathlib
import subprocess

import dicom2nifti
import highdicom
import nibabel
import numpy as np
import pydicom
import SimpleITK
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import apply_modality_lut

logging.disable(logging.CRITICAL)
stored = np.zeros((16, 16), np.uint16)
stored[4:12, 4:12] = 1024
stored[7:9, 7:9] = 2000
HOUNSFIELD = [-1024, 0, 976]


def values(volume):
    """Air, water and bone of the middle slice, which is the same either way up."""
    return [float(volume[0, 0]), float(volume[5, 5]), float(volume[7, 7])]


def read(kind):
    here = pathlib.Path(kind)
    here.joinpath("series").mkdir(parents=True)
    for k in range(5):
        one = Dataset()
        one.file_meta = FileMetaDataset()
        one.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
        one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID = f"2.25.1{k}"
        one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = "2.25.2", "2.25.3", "2.25.4"
        one.PatientID = one.StudyID = "1"
        one.PatientName = one.PatientBirthDate = one.PatientSex = one.AccessionNumber = one.ReferringPhysicianName = ""
        one.StudyDate, one.StudyTime, one.Modality, one.SeriesNumber = "20200101", "000000", "CT", 1
        one.ImageType, one.Rows, one.Columns = ["ORIGINAL", "PRIMARY", "AXIAL"], 16, 16
        one.PixelSpacing, one.SliceThickness, one.InstanceNumber = [1, 1], 5, k + 1
        one.ImagePositionPatient, one.ImageOrientationPatient = [0, 0, 5.0 * k], [1, 0, 0, 0, 1, 0]
        one.RescaleSlope, one.RescaleIntercept, one.RescaleType = 1, -1024, "HU"
        one.SamplesPerPixel, one.PhotometricInterpretation = 1, kind
        one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 12, 11, 0
        one.PixelData = stored.tobytes()
        one.save_as(here / "series" / f"{k}.dcm", enforce_file_format=True)
    files = sorted(str(file) for file in here.joinpath("series").iterdir())
    seen = {}

    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(f"{kind}/series"))
    reader.MetaDataDictionaryArrayUpdateOn()
    seen["SimpleITK"] = values(SimpleITK.GetArrayFromImage(reader.Execute())[2])
    said = reader.GetMetaData(2, "0028|0004").strip()
    assert said == kind, f"changed: SimpleITK says {said} of {kind}"

    sets = [pydicom.dcmread(file) for file in files]
    seen["pydicom"] = values(apply_modality_lut(sets[2].pixel_array, sets[2]))
    seen["highdicom"] = values(highdicom.get_volume_from_series(sets).array[2])
    plain = highdicom.get_volume_from_series(sets, apply_presentation_lut=False)
    seen["highdicom without LUT"] = values(plain.array[2])

    here.joinpath("niix").mkdir()
    subprocess.run(["venv/bin/dcm2niix", "-o", f"{kind}/niix", f"{kind}/series"], check=True, capture_output=True)
    (file,) = here.joinpath("niix").glob("*.nii")
    seen["dcm2niix"] = values(nibabel.load(file).get_fdata()[:, :, 2])
    dicom2nifti.dicom_series_to_nifti(f"{kind}/series", f"{kind}/d2n.nii", reorient_nifti=False)
    seen["dicom2nifti"] = values(nibabel.load(f"{kind}/d2n.nii").get_fdata()[:, :, 2])
    return seen


for who, found in read("MONOCHROME2").items():
    assert found == HOUNSFIELD, f"changed: MONOCHROME2, {who} {found}"
turned = [4095 - value - 2 * 1024 for value in HOUNSFIELD]
for who, found in read("MONOCHROME1").items():
    right = turned if who in ("SimpleITK", "highdicom") else HOUNSFIELD
    assert found == right, f"changed: MONOCHROME1, {who} {found}, not {right}"
    print(who, *(round(value) for value in found))
PY
venv/bin/python read.py 2>said
[ ! -s said ] || { echo "changed: something was said:"; cat said; exit 1; }
