#!/usr/bin/env bash
# NIfTI with two transforms that differ: nibabel 5.4.2 takes the sform whenever its code is not 0; SimpleITK 2.5.7 does so too where
# the sform's code is 1, but from code 2 on (aligned, MNI) it takes the qform. So a scan that was registered lies 3 mm
# apart in the two. With both codes 0 nibabel mirrors x and centres the grid, SimpleITK does neither. A mask must carry both
# transforms and both codes of its scan.
# Seen: sform 1: nibabel and SimpleITK the sform; sform 2: nibabel the sform, SimpleITK the qform; 0 and 0: nibabel x -2, SimpleITK +1
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check SimpleITK==2.5.7 nibabel==5.4.2 numpy==2.4.6
cd "$folder"
venv/bin/python - <<"PY"
import nibabel
import numpy as np
import SimpleITK

voxels = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
sform, qform = np.diag([2.0, 2, 3, 1]), np.diag([2.0, 2, 3, 1])
sform[:3, 3], qform[:3, 3] = (10, 20, 30), (10, 20, 33)
names = {30.0: "sform", 33.0: "qform"}
for code, expected in ((1, ("sform", "sform")), (2, ("sform", "qform")), (4, ("sform", "qform"))):
    made = nibabel.Nifti1Image(voxels, sform)
    made.set_sform(sform, code)
    made.set_qform(qform, 1)
    nibabel.save(made, "scan.nii")
    taken = (
        names[nibabel.load("scan.nii").affine[2, 3]],
        names[round(SimpleITK.ReadImage("scan.nii").GetOrigin()[2], 3)],
    )
    assert taken == expected, f"changed: sform code {code}: {taken}"
made = nibabel.Nifti1Image(voxels, sform)
made.set_sform(None, 0)
made.set_qform(None, 0)
nibabel.save(made, "scan.nii")
nib, itk = nibabel.load("scan.nii").affine, SimpleITK.ReadImage("scan.nii")
assert nib[0, 0] == -2 and nib[0, 3] == 1, f"changed: nibabel {nib}"  # in nibabel's axes x grows to the right,
assert itk.GetDirection()[0] == 1 and itk.GetOrigin() == (0, 0, 0), "changed: SimpleITK"  # in ITK's to the left
print(
    "sform 1: nibabel and SimpleITK the sform; sform 2: nibabel the sform, SimpleITK the qform; "
    f"0 and 0: nibabel x {nib[0, 0]:.0f}, SimpleITK {itk.GetDirection()[0]:+.0f}"
)
PY
