#!/usr/bin/env bash
# NIfTI in metres (xyzt_units 1): nibabel 5.4.2 gives the header's numbers as they are, in millimetres or not; SimpleITK 2.5.7 brings spacing and origin to millimetres. A volume in ml by the first is a thousand million times too
# small. With scl_slope 0 and scl_inter 7, which by the standard means no scaling, nibabel reads 0, 1, 2, SimpleITK adds 7.
# Seen: nibabel 0.002 meter, SimpleITK 2.0; slope 0: nibabel 0, 1, 2, SimpleITK 7, 8, 9
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check SimpleITK==2.5.7 nibabel==5.4.2 numpy==2.4.6
cd "$folder"
venv/bin/python - <<"PY"
import struct

import nibabel
import numpy as np
import SimpleITK

voxels = np.arange(3, dtype=np.int16).reshape(3, 1, 1)
made = nibabel.Nifti1Image(voxels, np.diag([0.002, 0.002, 0.003, 1]))
made.header.set_xyzt_units("meter")
nibabel.save(made, "metres.nii")
read = nibabel.load("metres.nii")
spacing = SimpleITK.ReadImage("metres.nii").GetSpacing()
assert read.header.get_xyzt_units()[0] == "meter"
assert np.allclose(np.diag(read.affine)[:3], (0.002, 0.002, 0.003)), f"changed: nibabel {read.affine}"
assert np.allclose(spacing, (2, 2, 3)), f"changed: SimpleITK {spacing}"

nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), "slope.nii")
with open("slope.nii", "r+b") as file:
    file.seek(112)  # scl_slope, scl_inter
    file.write(struct.pack("<ff", 0, 7))
nib = nibabel.load("slope.nii").get_fdata().ravel().tolist()
itk = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage("slope.nii")).ravel().tolist()
assert nib == [0, 1, 2] and itk == [7, 8, 9], f"changed: {nib}, {itk}"
print("nibabel 0.002 meter, SimpleITK 2.0; slope 0: nibabel 0, 1, 2, SimpleITK 7, 8, 9")
PY
