#!/usr/bin/env bash
# A TIFF whose PhotometricInterpretation is 0 (WhiteIsZero, one of the format's two for grey), six readers: a bright lesion on black, which
# is stored as small numbers on large ones. Of 8 bits Pillow 13.0.0 and OpenCV 5.0.0.93 turn the numbers round, so the lesion is bright;
# tifffile 2026.3.3, imageio 2.38.1, scikit-image 0.26.0 and SimpleITK 2.5.7 give them as stored, so all but the lesion is bright. Of 16
# bits none of them turns. Of 1 bit (a mask) SimpleITK does too. So the same mask has 16 pixels or 240, with no word. imageio turns
# by its Pillow plugin and not by tifffile's. ITK pull request 6636 makes ITK's reader turn them all. Look at the tag (tifffile:
# page.photometric), and turn by it once.
# Seen: bright pixels, 1, 8, 16 bits: Pillow 16 16 240, OpenCV 16 16 240, SimpleITK 16 240 240, tifffile, imageio, skimage 240 240 240
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check tifffile==2026.3.3 pillow==13.0.0 imageio==2.38.1 \
    scikit-image==0.26.0 opencv-python-headless==5.0.0.93 SimpleITK==2.5.7 numpy==2.4.6
cd "$folder"
cat > read.py <<"PY"
import cv2
import imageio.v3
import numpy as np
import PIL.Image
import SimpleITK
import skimage.io
import tifffile

READERS = {
    "Pillow": lambda name: np.asarray(PIL.Image.open(name)),
    "OpenCV": lambda name: cv2.imread(name, cv2.IMREAD_UNCHANGED),
    "SimpleITK": lambda name: SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(name)),
    "tifffile": tifffile.imread,
    "imageio": imageio.v3.imread,
    "skimage": skimage.io.imread,
    "imageio by Pillow": lambda name: imageio.v3.imread(name, plugin="pillow"),
}
lesion = np.zeros((16, 16), bool)
lesion[4:8, 4:8] = True
LARGEST = {"1": np.bool(True), "8": np.uint8(255), "16": np.uint16(65535)}
for bits, largest in LARGEST.items():
    for name, picture in (("white", ~lesion), ("black", lesion)):
        tifffile.imwrite(f"{name}-{bits}.tif", picture.astype(largest.dtype) * largest, photometric=f"minis{name}")
    tags = tifffile.TiffFile(f"white-{bits}.tif").pages[0]
    assert (tags.photometric, tags.bitspersample) == (tifffile.PHOTOMETRIC.MINISWHITE, int(bits)), tags


def bright(read, name):
    """How many of the 256 pixels are bright; 16 are when it is the lesion alone."""
    pixels = read(name)
    if pixels.ndim == 3:  # SimpleITK hands one bit over as RGBA
        pixels = pixels.reshape(16, 16, -1)[..., 0]
    return int((pixels > pixels.max() / 2).sum())


turned, stored = 16, 240
expected = {
    "Pillow": [turned, turned, stored],
    "OpenCV": [turned, turned, stored],
    "SimpleITK": [turned, stored, stored],
    "tifffile": [stored, stored, stored],
    "imageio": [stored, stored, stored],
    "skimage": [stored, stored, stored],
    "imageio by Pillow": [turned, turned, stored],
}
for who, read in READERS.items():
    plain = [bright(read, f"black-{bits}.tif") for bits in LARGEST]
    assert plain == [16, 16, 16], f"changed: BlackIsZero, {who} {plain}"
    seen = [bright(read, f"white-{bits}.tif") for bits in LARGEST]
    assert seen == expected[who], f"changed: {who} {seen}"
    print(who, *seen)
PY
venv/bin/python read.py 2>said
[ ! -s said ] || { echo "changed: something was said:"; cat said; exit 1; }
