#!/usr/bin/env bash
# rt-utils 1.2.7 draws a mask's contour through the centres of its outermost voxels, half a voxel too far in, and a hole's through
# those of the voxels round it. Its own reader fills with the edge, so a round trip shows nothing; by the area of what
# is written 8 x 8 voxels are 49 mm2, 2 x 2 are 1, and a single voxel is a closed contour of one point. DicomRTTool 6.2.0, which
# fills with the edge too, takes the ring of a tumour with a hole for a third less. Small lesions in an RTSTRUCT measure wrong in whatever
# reads contours as lines. A mode that goes along the voxels' edges is in its repository (rt-utils#141), not in the release, and not the
# default. Send a SEG.
# Seen: voxels of 1 mm2: 64 4 1 48; rt-utils reads 64 4 1 48; DicomRTTool 64 4 1 32; area of the contours 49 1 0 26
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check rt-utils==1.2.7 dicomrttool==6.2.0 pydicom==3.0.2 \
    numpy==2.4.6 opencv-python-headless==5.0.0.93
cd "$folder"
cat > trip.py <<"PY"
import pathlib
import warnings

import numpy as np
import pydicom
from DicomRTTool.ReaderWriter import DicomReaderWriter
from pydicom.dataset import Dataset, FileMetaDataset
from rt_utils import RTStructBuilder

warnings.simplefilter("ignore")


def series(folder):
    folder.mkdir()
    for k in range(3):
        one = Dataset()
        one.file_meta = FileMetaDataset()
        one.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
        one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
        one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID = f"2.25.1{k}"
        one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = "2.25.2", "2.25.3", "2.25.4"
        one.PatientID = one.StudyID = "1"
        one.PatientName = one.PatientBirthDate = one.PatientSex = one.AccessionNumber = one.ReferringPhysicianName = ""
        one.StudyDate, one.StudyTime, one.Modality, one.SeriesNumber = "20200101", "000000", "MR", 1
        one.ImageType, one.Rows, one.Columns = ["ORIGINAL", "PRIMARY"], 32, 32
        one.PixelSpacing, one.SliceThickness, one.InstanceNumber = [1, 1], 5, k + 1
        one.ImagePositionPatient, one.ImageOrientationPatient = [0, 0, 5.0 * k], [1, 0, 0, 0, 1, 0]
        one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
        one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 12, 11, 0
        one.PixelData = np.full((32, 32), 100, np.uint16).tobytes()
        one.save_as(folder / f"{k}.dcm", enforce_file_format=True)
    return str(folder)


def area(file):
    """Square millimetres within the contours, one inside another a hole."""
    areas = []
    for contour in pydicom.dcmread(file).ROIContourSequence[0].ContourSequence:
        assert contour.ContourGeometricType == "CLOSED_PLANAR"
        x, y, _ = np.array(contour.ContourData, float).reshape(-1, 3).T
        areas.append(abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2)
    return max(areas) - (sum(areas) - max(areas))


masks = {name: np.zeros((32, 32, 3), bool) for name in ("square", "small", "voxel", "ring")}
masks["square"][8:16, 8:16, 1] = masks["small"][8:10, 8:10, 1] = masks["voxel"][8, 8, 1] = masks["ring"][8:16, 8:16, 1] = True
masks["ring"][10:14, 10:14, 1] = False
rows = []
for name, mask in masks.items():
    folder = series(pathlib.Path(name))
    written = RTStructBuilder.create_new(folder)
    written.add_roi(mask=mask, name="lesion")
    file = f"{folder}/structures.dcm"
    written.save(file)
    own = RTStructBuilder.create_from(folder, file).get_roi_mask_by_name("lesion")
    reader = DicomReaderWriter(description="one", arg_max=True, verbose=False)
    reader.set_contour_names_and_associations(contour_names=["lesion"])
    reader.walk_through_folders(folder)
    reader.get_images_and_mask()
    rows.append((int(mask.sum()), int(own.sum()), int((reader.mask > 0).sum()), round(float(area(file)))))
print(*(" ".join(map(str, column)) for column in zip(*rows)), sep="; ")
PY
seen=$(venv/bin/python trip.py 2>log | tail -1)
[ "$seen" = "64 4 1 48; 64 4 1 48; 64 4 1 32; 49 1 0 26" ] || { tail -3 log; echo "changed: $seen"; exit 1; }
echo "voxels; rt-utils; DicomRTTool; area: $seen"
