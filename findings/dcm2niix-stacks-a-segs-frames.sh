#!/usr/bin/env bash
# dcm2niix 1.0.20260724 makes a NIfTI of a DICOM SEG, status 0, and stacks its frames as if no slice had been left out and each segment
# had as many: a second lesion two slices further up moves down to the first, a second segment lies on the first one's slices (or
# shares its frames with it), and where the empty slices are kept two segments come shuffled. Right is one segment without a gap
# alone. It takes several segments since dcm2niix#706; for one bit it says "experimental", for a LABELMAP nothing. dcmqi 1.5.7
# lays each frame where its position says: use that.
# Seen: z in mm, true>dcm2niix: one segment 5>5 10>10; with a gap 5>5 10>10 25>15; two segments 10>10 15>15 20>10 25>15; all slices kept
# 10>20 15>30 20>5 25>15; LABELMAP with a gap 5>5 10>10 25>15; dcmqi none off
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check highdicom==0.28.2 pydicom==3.0.2 nibabel==5.4.2 \
    dcm2niix==1.0.20260724 dcmqi==1.5.7 numpy==2.4.6
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


maker = hd.AlgorithmIdentificationSequence("maker", codes.cid7162.ArtificialIntelligence, "1")


def described(number):
    return SegmentDescription(
        number, f"part {number}", codes.cid7151.Brain, codes.cid7151.Brain, SegmentAlgorithmTypeValues.AUTOMATIC, maker
    )


def found(files):
    """Where each marked voxel came from and where it lies, as z in mm: its column says its slice."""
    pairs = []
    for file in files:
        image = nibabel.load(file)
        for voxel in np.argwhere(image.get_fdata() > 0):
            x, _, z = nibabel.affines.apply_affine(image.affine, voxel[:3])
            pairs.append((round(5 * (-x - 4)), round(z)))
    return " ".join(f"{true}>{is_at}" for true, is_at in sorted(pairs))


def lies(name, segments, kind=SegmentationTypeValues.BINARY, **options):
    folder = pathlib.Path(name)
    for part in ("in", "niix", "qi"):
        (folder / part).mkdir(parents=True)
    mask = np.zeros((8, 16, 16, len(segments)), np.uint8)
    for number, slices in enumerate(segments):
        for k in slices:
            mask[k, 4, 4 + k, number] = 1
    parts = [described(number + 1) for number in range(len(segments))]
    sources = [source(k) for k in range(8)]
    seg = Segmentation(sources, mask, kind, parts, "2.25.9", 1, "2.25.8", 1, "m", "m", "1", "1", **options)
    seg.save_as(folder / "in" / "seg.dcm")
    subprocess.run(["venv/bin/dcm2niix", "-o", folder / "niix", folder / "in"], check=True, capture_output=True)
    command = ["venv/bin/segimage2itkimage", "--inputDICOM", folder / "in" / "seg.dcm", "--outputDirectory", folder / "qi"]
    subprocess.run([*command, "-t", "nifti"], check=True, capture_output=True)
    right = " ".join(f"{5 * k}>{5 * k}" for slices in segments for k in slices)
    assert found((folder / "qi").glob("*.nii.gz")) == right, f"changed: dcmqi {name}"
    return found((folder / "niix").glob("*.nii"))


seen = {
    "one": lies("one", [(1, 2)]),
    "gap": lies("gap", [(1, 2, 5)]),
    "two": lies("two", [(2, 3), (4, 5)]),
    "whole": lies("whole", [(2, 3), (4, 5)], omit_empty_frames=False),
    "labelmap": lies("labelmap", [(1, 2, 5)], SegmentationTypeValues.LABELMAP),
}
expected = {
    "one": "5>5 10>10",
    "gap": "5>5 10>10 25>15",
    "two": "10>10 15>15 20>10 25>15",
    "whole": "10>20 15>30 20>5 25>15",
    "labelmap": "5>5 10>10 25>15",
}
assert seen == expected, f"changed: {seen}"
print(*(f"{name}: {pairs}" for name, pairs in seen.items()), sep="; ")
PY
