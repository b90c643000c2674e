"""NVIDIA's client, which nobody here wrote: the same masks as REST."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import requests

from archive.store import SAMPLES
from samples.make import LESION
from tests.web.open_inference.environment import environment_with, run

pytestmark = pytest.mark.server
TRITON = "tritonclient[http,grpc]==2.73.0"
SCRIPT = Path(__file__).parent / "triton_client.py"


def rest(door: str, query: str = "") -> dict[str, np.ndarray]:
    url = f"{door}/api/v1/segment?outputs=mask,probability{query}"
    answer = requests.post(url, data=(SAMPLES / LESION).read_bytes(), timeout=120).json()
    images = answer["slices"][0]["images"]
    return {name: imagecodecs.png_decode(base64.b64decode(text))[None] for name, text in images.items()}


def test_over_http(door: str, tmp_path: Path) -> None:
    run(environment_with(TRITON), SCRIPT, "http", door.removeprefix("http://"), SAMPLES / LESION, tmp_path / "seen")
    seen, found = json.loads((tmp_path / "seen.json").read_text()), np.load(tmp_path / "seen.npz")
    ours = rest(door)
    for name in ("binary", "gzip", "deflate", "json"):
        assert np.array_equal(found[name], ours["mask"]), name
    assert np.array_equal(found["probability"], ours["probability"].astype(np.float32) / np.float32(65535))
    assert np.abs(found["json_probability"] - found["probability"]).max() < 1e-6
    assert np.array_equal(found["named"], rest(door, "&version=2.0&threshold=0.4&gate=off")["mask"])
    assert (seen["named"]["model"]["version"], seen["named"]["threshold"]) == ("2.0", 0.4)
    assert seen["measurements"]["tumor_pixels"] == np.count_nonzero(ours["mask"])
    assert (seen["live"], seen["ready"], seen["model_ready"], seen["version_ready"]) == (True,) * 4
    assert seen["unknown_ready"] is False
    assert (seen["server"], seen["versions"], seen["id"]) == ("brainseg", ["1.0", "2.0"], "ward-7")
    assert seen["shapes"]["mask"] == ["UINT8", [-1, -1, -1]]
    codes = [(status, message.partition(":")[0]) for status, message in seen["refused"]]
    assert codes == [("404", "model_not_found"), ("415", "unsupported_format"), ("422", "corrupt_image")]
