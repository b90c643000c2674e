"""A types data set drawn by code: a bright square whose corner says the class; each patient a brightness of its own."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

CORNERS = {"glioma": (0.1, 0.1), "meningioma": (0.6, 0.1), "pituitary": (0.1, 0.6)}
SIDE = 48
PATIENTS, SLICES = 4, 3


def write_types(folder: Path, bare: int = 6) -> Path:
    """`folder` with a zip for each class of CORNERS, one of `bare` slices of no tumour, and the table."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["class,number,patient,x_centre,y_centre,width,height"]
    rng = np.random.default_rng(5)
    for kind, (left, top) in CORNERS.items():
        with zipfile.ZipFile(folder / f"{kind}.zip", "w") as archive:
            for patient in range(PATIENTS):
                for number in range(SLICES):
                    pixels = rng.integers(20, 60 + 10 * patient, (SIDE, SIDE))
                    x, y, side = int(left * SIDE), int(top * SIDE), int(0.3 * SIDE)
                    pixels[y : y + side, x : x + side] = 220
                    name = f"{patient}{number}"
                    archive.writestr(f"{kind}/{name}.webp", _encoded(pixels.astype(np.uint8)))
                    middle = f"{left + 0.15:.2f},{top + 0.15:.2f}"
                    rows.append(f"{kind},{name},{kind[0].upper()}{patient},{middle},0.30,0.30")
    with zipfile.ZipFile(folder / "notumor.zip", "w") as archive:
        for number in range(bare):
            archive.writestr(
                f"notumor/{number}.webp", _encoded(rng.integers(20, 90, (SIDE, SIDE - 8)).astype(np.uint8))
            )
    (folder / "slices.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def _encoded(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", lossless=True)
    return buffer.getvalue()


RECIPE = """
name: drawn
seed: 3
classes: [glioma, meningioma, pituitary]
network:
  encoder: tu-tf_mobilenetv3_small_minimal_100
  height: 64
  width: 64
  mean: [0.5, 0.5, 0.5]
  std: [0.5, 0.5, 0.5]
  dropout: 0.0
  frozen: 1
epochs: 2
batch: 6
per_patient: 2
rate: 0.003
changes: {rotate_degrees: 5, scale_percent: 5, shift_percent: 3, brightness_percent: 10}
"""


def write_recipe(path: Path, **changes: str) -> Path:
    """RECIPE at `path`, lines that begin with a key of `changes` replaced."""
    lines = [
        next((f"{key}: {value}" for key, value in changes.items() if line.startswith(f"{key}:")), line)
        for line in RECIPE.splitlines()
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
