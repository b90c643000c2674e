#!/usr/bin/env bash
# SimpleITK 2.5.7 reads no NIfTI-2: nibabel 5.4.2 writes the same three-dimensional int16 image as NIfTI-1 and NIfTI-2, SimpleITK
# reads the first and says of the second "Unable to determine ImageIO reader". So a mask for users of ITK is NIfTI-1, or as the
# scan is, whose reader they have.
# Seen: NIfTI-1: (2, 3, 4); NIfTI-2: Unable to determine ImageIO reader
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check SimpleITK==2.5.7 nibabel==5.4.2
cd "$folder"
venv/bin/python - <<"PY"
import nibabel
import numpy as np
import SimpleITK

voxels = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
for number, kind in ((1, nibabel.Nifti1Image), (2, nibabel.Nifti2Image)):
    nibabel.save(kind(voxels, np.diag([2.0, 2, 3, 1])), f"{number}.nii")
    assert np.array_equal(nibabel.load(f"{number}.nii").get_fdata(), voxels)
assert SimpleITK.ReadImage("1.nii").GetSize() == (2, 3, 4)
try:
    size = SimpleITK.ReadImage("2.nii").GetSize()
except RuntimeError as error:
    assert "Unable to determine ImageIO reader" in str(error), error
else:
    raise SystemExit(f"changed: SimpleITK read NIfTI-2, size {size}")
print("NIfTI-1: (2, 3, 4); NIfTI-2: Unable to determine ImageIO reader")
PY
