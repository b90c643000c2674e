#!/usr/bin/env bash
# ngff-zarr 0.50.0, NIfTI to OME-Zarr and back to ITK: its reader through nibabel 5.4.2, which its command line takes for NIfTI,
# writes the origin as NIfTI has it (right, anterior) and the orientation of each axis as a bare word, which its own reader passes over.
# Back in ITK the same numbers count as left and posterior: the scan is turned by half about the body's axis, left is right and front
# is back. What came in as an ITK image is right. Both keep of an oblique scan the nearest axes alone (ngff-zarr#439 is for
# those), with no word: 17 degrees in plane are gone. Keep the affine beside such a copy, and compare a corner's millimetres.
# Seen: far corner, scan along the axes: nibabel's way 322.8 mm off, ITK's 0.0; oblique: nibabel's 321.0 mm, ITK's 41.8
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check ngff-zarr==0.50.0 nibabel==5.4.2 numpy==2.4.6
cd "$folder"
cat > trip.py <<"PY"
import json
import math
import pathlib

import itkwasm
import nibabel
import ngff_zarr
import numpy as np
from ngff_zarr.detect_cli_io_backend import ConversionBackend, detect_cli_io_backend

assert detect_cli_io_backend(["scan.nii.gz"]) is ConversionBackend.NIBABEL, "changed: the command line's reader"
cos, sin = math.cos(0.3), math.sin(0.3)
voxels = np.zeros((100, 100, 20), np.int16)
corner = np.array([99, 99, 19])


def off(image, affine, name):
    """Millimetres between where the corner is and where it lies after the way through a store."""
    ngff_zarr.to_ngff_zarr(name, ngff_zarr.to_multiscales(image, scale_factors=[], cache=False), version="0.5")
    back = ngff_zarr.ngff_image_to_itk_image(ngff_zarr.from_ngff_zarr(name).images[0])
    assert tuple(back.size) == voxels.shape, back.size
    lps = np.array(back.origin) + np.array(back.direction) @ (np.array(back.spacing) * corner)
    return round(float(np.linalg.norm(lps * (-1, -1, 1) - nibabel.affines.apply_affine(affine, corner))), 1)


seen = []
for name, turn in (("axes", np.eye(3)), ("oblique", np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]))):
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn @ np.diag([1, 1, 5]), (10, 20, 30)
    scan = nibabel.Nifti1Image(voxels, affine)
    flip = np.diag([-1, -1, 1])
    itk = itkwasm.Image(
        imageType=itkwasm.ImageType(dimension=3, componentType="int16", pixelType="Scalar", components=1),
        origin=(flip @ affine[:3, 3]).tolist(),
        spacing=[1.0, 1.0, 5.0],
        direction=flip @ turn,
        size=list(voxels.shape),
        data=np.ascontiguousarray(voxels.T),
    )
    seen.append(off(ngff_zarr.nibabel_image_to_ngff_image(scan), affine, f"{name}-nibabel.ome.zarr"))
    seen.append(off(ngff_zarr.itk_image_to_ngff_image(itk), affine, f"{name}-itk.ome.zarr"))
    for way, words in (("nibabel", str), ("itk", dict)):
        written = json.loads(pathlib.Path(f"{name}-{way}.ome.zarr/zarr.json").read_text())
        axes = written["attributes"]["ome"]["multiscales"][0]["axes"]
        assert all(type(axis["orientation"]) is words for axis in axes), f"changed: {axes}"
print(*seen)
PY
seen=$(venv/bin/python trip.py 2>said)
[ ! -s said ] || { echo "changed: something was said:"; cat said; exit 1; }
[ "$seen" = "322.8 0.0 321.0 41.8" ] || { echo "changed: $seen"; exit 1; }
echo "mm off (nibabel's way, ITK's; oblique): $seen"
