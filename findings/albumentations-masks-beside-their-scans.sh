#!/usr/bin/env bash
# albumentations 2.0.8 with OpenCV 5.0.0.93 makes a scan and its mask smaller with the defaults: the scan by INTER_LINEAR about the
# pixels' centres, the mask by INTER_NEAREST, which takes the first of the pixels that become one. So the mask lands further down and to
# the right: one and a half pixels of the scan at 256 to 64, half a pixel at 256 to 128, and of lesions that were the same in both, pixel
# by pixel, the Dice is 0.93. Resize, LongestMaxSize, SmallestMaxSize, RandomScale and RandomResizedCrop do so, and a volume's mask3d
# (reported in albumentations#850, #1324); Affine does not. NEAREST_EXACT goes half a pixel to the other side at even factors; a mask of
# 0 and 1 by INTER_AREA lies where the scan does.
# Seen: pixels of the scan, 256 to 64: scan +0.0, mask +1.5, EXACT -0.5, AREA +0.0; Dice of the two 0.932, 0.977, 0.997; to 128: +0.5
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check albumentations==2.0.8 \
    opencv-python-headless==5.0.0.93 numpy==2.4.6
cd "$folder"
NO_ALBUMENTATIONS_UPDATE=1 venv/bin/python - <<"PY"
import albumentations as A
import cv2
import numpy as np

SIDE = 256
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE]


def centre(picture):
    """Where the middle of what is bright lies, in the big scan's pixels, by the sizes of the two alone."""
    factor = SIDE / picture.shape[-1]
    weights = picture.astype(float)
    return ((np.indices(weights.shape) * weights).reshape(2, -1).sum(1) / weights.sum() + 0.5) * factor - 0.5


def moved(make):
    """How far 100 round lesions and their masks go on the average, and how well the two agree afterwards."""
    random = np.random.default_rng(0)
    scans, masks, dice = [], [], []
    for _ in range(100):
        row, column = random.uniform(80, 170, 2)
        mask = ((ROWS - row) ** 2 + (COLUMNS - column) ** 2 < random.uniform(12, 30) ** 2).astype(np.uint8)
        small = make(image=mask.astype(np.float32), mask=mask)
        bright, found = small["image"] > 0.5, small["mask"] == 1
        scans.append(centre(small["image"]) - centre(mask))
        masks.append(centre(small["mask"]) - centre(mask))
        dice.append(2 * (bright & found).sum() / (bright.sum() + found.sum()))
    return round(float(np.mean(scans)), 1) + 0.0, round(float(np.mean(masks)), 1) + 0.0, round(float(np.mean(dice)), 3)


exact, area = {"mask_interpolation": cv2.INTER_NEAREST_EXACT}, {"mask_interpolation": cv2.INTER_AREA}
seen = {
    "64": moved(A.Resize(64, 64)),
    "64 EXACT": moved(A.Resize(64, 64, **exact)),
    "64 AREA": moved(A.Resize(64, 64, **area)),
    "128": moved(A.Resize(128, 128)),
    "64 LongestMaxSize": moved(A.LongestMaxSize(64)),
    "64 SmallestMaxSize": moved(A.SmallestMaxSize(64)),
    "64 RandomScale": moved(A.RandomScale((-0.75, -0.75), p=1)),
    "64 RandomResizedCrop": moved(A.RandomResizedCrop((64, 64), scale=(1, 1), ratio=(1, 1))),
}
for what, (scan, mask, dice) in seen.items():
    print(f"256 to {what}: scan {scan:+.1f}, mask {mask:+.1f}, Dice {dice}")
for what, (scan, mask, dice) in seen.items():
    wanted = {"128": 0.5, "64 EXACT": -0.5, "64 AREA": 0.0}.get(what, 1.5)
    assert scan == 0, f"changed: {what}, the scan moves by {scan}"
    assert mask == wanted, f"changed: {what}, the mask moves by {mask}, not {wanted}"
    assert (dice < 0.94) == (wanted == 1.5) and (dice > 0.99) == (wanted == 0), f"changed: {what}, Dice {dice}"

disc = ((ROWS - 100) ** 2 + (COLUMNS - 120) ** 2 < 400).astype(np.uint8)
volume = np.stack([disc, disc, disc])
layers = A.Resize(64, 64)(volume=volume.astype(np.float32), mask3d=volume)
apart = centre(layers["mask3d"][0]) - centre(layers["volume"][0])
assert (abs(apart - 1.5) < 0.2).all(), f"changed: mask3d and volume are {apart} apart"
turned = A.Affine(scale=0.25, p=1)(image=disc.astype(np.float32), mask=disc)
assert (abs(centre(turned["mask"]) - centre(turned["image"])) < 0.2).all(), "changed: Affine moves the mask"
PY
