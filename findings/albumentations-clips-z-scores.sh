#!/usr/bin/env bash
# albumentations 2.0.8 takes float pictures for 0..1. Noise, brightness, sharpening, a Gaussian blur clip a z-scored scan to 0..1
# without a word (half of the head is lost), a plain blur, a rotation, a resize leave it as it is, RandomGamma makes it NaN. Augment in
# 0..1 and standardise afterwards.
# Seen: of -3.9..3.1: Blur, Rotate, Resize keep what is below 0; GaussNoise, GaussianBlur, Sharpen, RandomBrightnessContrast do not
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check albumentations==2.0.8 numpy==2.2.6
cd "$folder"
NO_ALBUMENTATIONS_UPDATE=1 venv/bin/python - <<"PY"
import warnings

warnings.simplefilter("ignore")
import albumentations as A
import numpy as np

scan = np.random.default_rng(0).normal(size=(32, 32, 1)).astype(np.float32)
keep = [A.Blur(p=1), A.Rotate(10, p=1), A.Resize(16, 16)]
clip = [A.GaussNoise(p=1), A.GaussianBlur(p=1), A.Sharpen(p=1), A.RandomBrightnessContrast(p=1)]
for change in keep + clip:
    least = float(change(image=scan)["image"].min())
    assert (least < 0) == (change in keep), f"changed: {type(change).__name__} {least}"
assert np.isnan(A.RandomGamma(p=1)(image=scan)["image"]).any(), "changed: RandomGamma"
print("below 0 is kept by", *(type(one).__name__ for one in keep), "and lost in", *(type(one).__name__ for one in clip))
PY
