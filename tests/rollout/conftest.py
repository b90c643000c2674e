"""Archives and scans of one stage, which each file here that asks for them has as its fixture ``stage``."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from handler.pipeline import answer, open_model
from prove.releases import versioned
from samples.phantom import draw
from tests.rollout.stage import ARCHIVE, PAUSE_SECONDS, Stage, appended, pausing

DICE_LOSS = 0.05


@pytest.fixture(scope="module")
def plain(stage: Stage, packaged: Path) -> Path:
    """2.0: the weights of 1.0 under another number."""
    return versioned(packaged / ARCHIVE, stage.folder / "plain-2.0.mar", "2.0")


@pytest.fixture(scope="module")
def good(stage: Stage, plain: Path) -> Path:
    return appended(plain, stage.folder / "good-2.0.mar", pausing(PAUSE_SECONDS))


def _probability(folder: Path, scan: bytes) -> np.ndarray:
    """The probability map (h, w) in 65535ths that the release in ``folder`` answers with."""
    model = open_model(folder, "auto", 1)
    outcome = answer(model, {"body": scan}, {"X-BrainSeg-Outputs": "probability"})
    encoded = json.loads(outcome.answer.body)["slices"][0]["images"]["probability"]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded)))).astype(int)


@pytest.fixture(scope="module")
def unpacked(stage: Stage, packaged: Path) -> Path:
    """What a worker has before it: weights, engine files and card."""
    folder = stage.folder / "unpacked"
    with zipfile.ZipFile(packaged / ARCHIVE) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def scans(stage: Stage, unpacked: Path) -> tuple[Path, float]:
    """Labelled phantoms whose truth is what 1.0 says, so its Dice is 1; and a threshold with which the same network's
    Dice is :data:`DICE_LOSS` lower."""
    folder, maps = stage.folder / "scans", []
    (folder / "CASE_1").mkdir(parents=True)
    for number in range(1, 7):
        image = draw(number, 0.08, 128).image
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, image, photometric="rgb")
        steps = _probability(unpacked, buffer.getvalue())
        (folder / "CASE_1" / f"CASE_1_{number}.tif").write_bytes(buffer.getvalue())
        mask = (steps > 0.5 * 65535).astype(np.uint8) * 255
        assert np.count_nonzero(mask) > 0
        tifffile.imwrite(folder / "CASE_1" / f"CASE_1_{number}_mask.tif", mask)
        maps.append((steps, mask > 0))

    def dice(threshold: float) -> float:
        pairs = [(steps > threshold * 65535, truth) for steps, truth in maps]
        return float(np.mean([2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in pairs]))

    return folder, min(np.linspace(0.5, 0.9, 20001), key=lambda t: abs(dice(t) - (1 - DICE_LOSS)))
