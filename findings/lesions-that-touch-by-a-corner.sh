#!/usr/bin/env bash
# Two voxels that touch by a corner alone are one lesion for scikit-image 0.26.0's label and connected-components-3d 3.29.0, and two for
# scipy 1.17.1's ndimage.label and SimpleITK 2.5.7's ConnectedComponent, each with its default. So counts of lesions, and what a smallest
# size removes, differ between programs: name the connectivity.
# Seen: skimage 1, cc3d 1, scipy 2, SimpleITK 2
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check scikit-image==0.26.0 connected-components-3d==3.29.0 scipy==1.17.1 SimpleITK==2.5.7 numpy==2.4.6
cd "$folder"
venv/bin/python - <<"PY"
import cc3d
import numpy as np
import SimpleITK as sitk
from scipy import ndimage
from skimage.measure import label

mask = np.zeros((4, 4, 4), np.uint8)
mask[1, 1, 1] = mask[2, 2, 2] = 1
seen = (
    int(label(mask).max()),
    int(cc3d.connected_components(mask).max()),
    int(ndimage.label(mask)[1]),
    int(sitk.GetArrayFromImage(sitk.ConnectedComponent(sitk.GetImageFromArray(mask))).max()),
)
assert seen == (1, 1, 2, 2), f"changed: {seen}"
print("skimage {}, cc3d {}, scipy {}, SimpleITK {}".format(*seen))
PY
