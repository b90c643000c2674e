#!/usr/bin/env bash
# A legacy converted enhanced MR of four frames, five readers. Frames stored from the lowest to the highest: dicom2nifti 2.6.2
# mirrors the volume in millimetres. Stored in another order than their positions: SimpleITK 2.5.7 keeps the file's order, lays them
# 1 mm apart from the first one on and says nothing (ITK's reader looks at the first frame's group alone, so ITK pull request 2010);
# dicom2nifti refuses. A slope of its own in each frame: SimpleITK takes the first frame's for all, dcm2niix 1.0.20260724 another one's
# for all (some makers' files are seen to: dcm2niix#363, #853), pydicom 3.0.2's apply_rescale none (pydicom#2353). highdicom 0.28.2 is
# right each time: read enhanced objects with it.
# Seen: upwards: dicom2nifti 115 110 105 100 for 100 105 110 115; shuffled: SimpleITK 105 115 100 110 at 5 6 7 8 mm;
# slopes 2 0.25 0.5 1: SimpleITK 100 105 110 115, dcm2niix 200 210 220 230, dicom2nifti and highdicom 200 26.25 55 115
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check highdicom==0.28.2 pydicom==3.0.2 SimpleITK==2.5.7 \
    dcm2niix==1.0.20260724 dicom2nifti==2.6.2 nibabel==5.4.2 numpy==2.4.6
cd "$folder"
venv/bin/python - <<"PY"
import copy
import logging
import pathlib
import subprocess
import warnings

import dicom2nifti
import highdicom as hd
import nibabel
import numpy as np
import pydicom
import SimpleITK
from pydicom.dataset import Dataset, FileMetaDataset

logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")


def source(k):
    one = Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    one.SOPClassUID, one.SOPInstanceUID, one.Modality = "1.2.840.10008.5.1.4.1.1.4", f"2.25.1{k}", "MR"
    one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = "2.25.2", "2.25.3", "2.25.4"
    one.PatientID = one.StudyID = "1"
    one.PatientName = one.PatientBirthDate = one.PatientSex = one.AccessionNumber = one.ReferringPhysicianName = ""
    one.StudyDate, one.StudyTime, one.SeriesNumber, one.InstanceNumber = "20200101", "000000", 1, k + 1
    one.ImageType, one.Rows, one.Columns, one.ScanningSequence = ["ORIGINAL", "PRIMARY"], 16, 16, "SE"
    one.PixelSpacing, one.SliceThickness, one.WindowCenter, one.WindowWidth = [1, 1], 5, 100, 200
    one.ImagePositionPatient, one.ImageOrientationPatient = [0, 0, 5.0 * k], [1, 0, 0, 0, 1, 0]
    one.RescaleSlope, one.RescaleIntercept, one.RescaleType = k + 1, 0, "US"  # differ, so that each frame has its own
    one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 12, 11, 0
    one.PixelData = np.full((16, 16), 100 + 5 * k, np.uint16).tobytes()
    return one


converted = hd.legacy.LegacyConvertedEnhancedMRImage([source(k) for k in range(4)], "2.25.5", 2, "2.25.6", 1)


def volume(affine, planes):
    return sorted((round(float((affine @ [0, 0, k, 1])[2]), 2), float(value)) for k, value in enumerate(planes))


def read(order, slopes):
    """What five readers make of the frames with positions 15, 10, 5, 0 in this order: (z in mm, value) of each slice."""
    folder = pathlib.Path("".join(map(str, order)) + "-" + "-".join(map(str, slopes)))
    (folder / "in").mkdir(parents=True)
    (folder / "out").mkdir()
    file = folder / "in" / "enhanced.dcm"
    made, frames = copy.deepcopy(converted), converted.PerFrameFunctionalGroupsSequence
    made.PerFrameFunctionalGroupsSequence = [copy.deepcopy(frames[i]) for i in order]
    planes = [100 + (15, 10, 5, 0)[i] for i in order]
    for group, plane, slope in zip(made.PerFrameFunctionalGroupsSequence, planes, slopes, strict=True):
        assert float(group.PlanePositionSequence[0].ImagePositionPatient[2]) == plane - 100
        group.PixelValueTransformationSequence[0].RescaleSlope = slope
    made.PixelData = np.repeat(np.array(planes, np.uint16), 256).tobytes()
    made.save_as(file)

    seen = {}
    image = SimpleITK.ReadImage(str(file))
    seen["SimpleITK"] = sorted(
        (image.TransformIndexToPhysicalPoint((0, 0, k))[2], float(image[0, 0, k])) for k in range(4)
    )
    subprocess.run(["venv/bin/dcm2niix", "-o", folder / "out", folder / "in"], check=True, capture_output=True)
    (written,) = (nibabel.load(one) for one in (folder / "out").glob("*.nii"))
    seen["dcm2niix"] = volume(written.affine, written.get_fdata()[0, 0])
    try:
        dicom2nifti.dicom_series_to_nifti(folder / "in", folder / "d2n.nii", reorient_nifti=False)
        written = nibabel.load(folder / "d2n.nii")
        seen["dicom2nifti"] = volume(written.affine, written.get_fdata()[0, 0])
    except dicom2nifti.exceptions.ConversionValidationError as error:
        seen["dicom2nifti"] = str(error)
    whole = hd.imread(file).get_volume()
    seen["highdicom"] = volume(whole.affine[:, [1, 2, 0, 3]], whole.array[:, 0, 0])
    again = pydicom.dcmread(file)
    seen["pydicom"] = [float(one[0, 0]) for one in pydicom.pixels.apply_rescale(again.pixel_array, again)]
    return seen


def at(*values):
    return [(5.0 * k, float(value)) for k, value in enumerate(values)]


right, ones = at(100, 105, 110, 115), [1, 1, 1, 1]
down, up, shuffled = read([0, 1, 2, 3], ones), read([3, 2, 1, 0], ones), read([2, 0, 3, 1], ones)
assert all(down[name] == right for name in ("SimpleITK", "dcm2niix", "dicom2nifti", "highdicom")), f"changed: {down}"
assert up["SimpleITK"] == up["dcm2niix"] == up["highdicom"] == right, f"changed: {up}"
assert up["dicom2nifti"] == at(115, 110, 105, 100), f"changed: {up}"
assert shuffled["dcm2niix"] == shuffled["highdicom"] == right, f"changed: {shuffled}"
assert shuffled["SimpleITK"] == [(5, 105), (6, 115), (7, 100), (8, 110)], f"changed: {shuffled}"
assert shuffled["dicom2nifti"] == "SLICE_INCREMENT_INCONSISTENT", f"changed: {shuffled}"
own = read([0, 1, 2, 3], [1, 0.5, 0.25, 2])
assert own["highdicom"] == own["dicom2nifti"] == at(200, 26.25, 55, 115), f"changed: {own}"
assert own["SimpleITK"] == right and own["pydicom"] == [115, 110, 105, 100], f"changed: {own}"
assert own["dcm2niix"] == at(200, 210, 220, 230), f"changed: {own}"
for name, seen in (("upwards", up), ("shuffled", shuffled), ("slopes", own)):
    print(name, *(f"{who}: {what}" for who, what in seen.items()), sep="\n  ")
PY
