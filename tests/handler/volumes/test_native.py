"""One glioma patient as the scanner left him, where his files are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from archive.store import default_version, release_folder
from handler.pipeline import answer, open_model

NATIVE = Path(__file__).parents[4] / "shared" / "native"
EXPERT_SLICES, EXPERT_ML = (14, 20), 26.0  # 7,115 pixels of some 0.82 mm, 5.5 mm apart, in the published pictures


@pytest.mark.skipif(not NATIVE.is_dir(), reason="the native patient is not here")
def test_the_native_patient() -> None:
    model = open_model(release_folder(default_version()), "torch", 1)
    parts = {name: bytearray((NATIVE / f"{name}.nii.gz").read_bytes()) for name in ("flair", "t1", "t1c")}
    outcome = answer(model, parts, {"content-type": "multipart/form-data"})
    reply = json.loads(outcome.answer.body)
    assert outcome.code == "ok", reply
    largest = reply["lesions"][0]
    print(f"{reply['tumor_volume_ml']} ml, the largest of {reply['lesion_count']} lesions on {largest['slices']}")
    assert reply["input"]["geometry"]["size"] == [208, 256, 26]
    assert abs(reply["tumor_volume_ml"] / EXPERT_ML - 1) < 0.4
    assert all(abs(a - b) <= 1 for a, b in zip(largest["slices"], EXPERT_SLICES, strict=True))
