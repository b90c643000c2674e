#!/usr/bin/env bash
# highdicom 0.28.2: where the rows' and columns' spacing is the source's, a Segmentation takes all pixel measures from the source,
# the SpacingBetweenSlices of pixel_measures= is dropped without a word. A mask on slices of 1 mm over a series of 5 mm then says 5;
# dcmqi 1.5.7 believes that number, not the frames' positions, and lays up to five planes onto one slice of 5 mm with exit 0: a
# lesion of 64 mm3 comes back as 160. highdicom's own get_volume() raises. Take the tag off the copies that go to highdicom.
# Seen: given 1.0, written 5.0; dcmqi: 6 slices, 160 mm3; without the source's tag: written 1.0; 26 slices, 64 mm3
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check highdicom==0.28.2 pydicom==3.0.2 dcmqi==1.5.7 nibabel==5.4.2 numpy==2.4.6
cd "$folder"
venv/bin/python - <<"PY"
import pathlib
import subprocess

import highdicom as hd
import nibabel
import numpy as np
from highdicom.seg import Segmentation, SegmentAlgorithmTypeValues, SegmentationTypeValues, SegmentDescription
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes


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


mask = np.zeros((26, 16, 16), np.uint8)
mask[11:15, 4:8, 4:8] = 1  # between the source's planes at 10 and 15 mm
places = [hd.PlanePositionSequence(hd.CoordinateSystemNames.PATIENT, [0, 0, float(z)]) for z in range(26)]
maker = hd.AlgorithmIdentificationSequence("maker", codes.cid7162.ArtificialIntelligence, "1")
segment = SegmentDescription(
    1, "part", codes.cid7151.Brain, codes.cid7151.Brain, SegmentAlgorithmTypeValues.AUTOMATIC, maker
)
seen = {}
for tag in (True, False):
    series = [source(k) for k in range(6)]
    for one in series:
        if tag:
            one.SpacingBetweenSlices = 5
    made = Segmentation(
        series, mask, SegmentationTypeValues.BINARY, [segment], "2.25.9", 1, "2.25.10", 1, "m", "m", "1", "0",
        pixel_measures=hd.PixelMeasuresSequence([1, 1], 1, 1), plane_positions=places, omit_empty_frames=False,
    )
    assert made.NumberOfFrames == 26
    written = float(made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices)
    out = pathlib.Path(f"out-{tag}")
    out.mkdir()
    made.save_as("mask.dcm")
    subprocess.run(
        ["venv/bin/segimage2itkimage", "--inputDICOM", "mask.dcm", "--outputDirectory", out, "--outputType", "nii"],
        check=True, capture_output=True,
    )
    read = nibabel.load(out / "1.nii.gz")
    volume = float((read.get_fdata() > 0).sum() * np.prod(read.header.get_zooms()))
    seen[tag] = (written, read.shape[2], volume)
    if tag:
        try:
            hd.seg.segread("mask.dcm").get_volume()
        except RuntimeError as error:
            assert "regularly-spaced" in str(error), error
        else:
            raise SystemExit("changed: get_volume() gave a volume")
assert seen == {True: (5.0, 6, 160.0), False: (1.0, 26, 64.0)}, f"changed: {seen}"
print("given 1.0, written 5.0; dcmqi: 6 slices, 160 mm3; without the source's tag: written 1.0; 26 slices, 64 mm3")
PY
