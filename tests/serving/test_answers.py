"""The main job: the released weights, a real TorchServe, a scan in, the contract's answer out."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
import requests
import tifffile
from PIL import Image

from archive.store import archive_path, default_version
from benchmark.servers import unpacked
from handler.decode import decode
from handler.pipeline import answer, open_model
from handler.resources import plan
from prove.server import Server

pytestmark = pytest.mark.server


def picture(encoded: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))))


def test_lesion_and_healthy_phantoms_get_their_verdicts(server: Server, lesion: bytes, healthy: bytes) -> None:
    found, none = server.post(lesion).json(), server.post(healthy).json()
    assert found["verdict"] == "tumor_detected"
    assert none["verdict"] == "no_tumor_detected"
    mask = picture(found["slices"][0]["images"]["mask"])
    assert mask.shape == (256, 256)
    assert np.count_nonzero(mask == 255) == found["tumor_pixels"] == np.count_nonzero(mask)


def test_answer_equals_the_plain_python_core(server: Server, stack: bytes, tmp_path: Path) -> None:
    model = open_model(
        unpacked(archive_path(default_version(server.store), server.store), tmp_path), "auto", plan().threads
    )
    fields = {"X-BrainSeg-Outputs": "mask,probability", "X-BrainSeg-Threshold": "0.3"}
    served = server.post(stack, **{name.replace("-", "_"): value for name, value in fields.items()}).json()
    core = json.loads(answer(model, {"body": stack}, fields).answer.body)
    for reply in (served, core):
        reply.pop("timing_ms")
    assert served == core


def test_multipart_gives_the_same_as_raw(server: Server, lesion: bytes) -> None:
    raw = server.post(lesion, X_BrainSeg_Threshold="0.7", X_BrainSeg_Outputs="mask").json()
    form = requests.post(
        server.url,
        files={"file": ("scan.png", lesion, "image/png")},
        data={"threshold": "0.7", "outputs": "mask"},
        headers=server.auth(),
        timeout=120,
    ).json()
    raw.pop("timing_ms"), form.pop("timing_ms")
    assert raw == form
    assert raw["threshold"] == 0.7


def test_header_names_in_any_case_and_put(server: Server, lesion: bytes) -> None:
    headers = {**server.auth(), "x-bRAINSEG-oUTPUTS": "none", "cOnTeNt-TyPe": "image/png"}
    reply = requests.put(server.url, data=lesion, headers=headers, timeout=120)
    assert reply.status_code == 200
    assert reply.json()["slices"][0]["images"] == {}


def test_bare_mask_png_and_mask_stack_tiff(server: Server, lesion: bytes, stack: bytes) -> None:
    json_mask = picture(server.post(lesion).json()["slices"][0]["images"]["mask"])
    png = server.post(lesion, Accept="image/png")
    assert png.headers["Content-Type"] == "image/png"
    assert png.headers["X-BrainSeg-Notice"] == "Research use only. Not a medical device."
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png.content))), json_mask)
    tiff = server.post(stack, Accept="image/tiff")
    masks = tifffile.imread(io.BytesIO(tiff.content))
    assert masks.shape == (8, 256, 256)
    assert set(np.unique(masks)) <= {0, 255}


@pytest.mark.parametrize(("height", "width"), [(16, 16), (100, 301), (513, 257)])
def test_the_mask_has_the_size_of_the_input(server: Server, height: int, width: int, lesion: bytes) -> None:
    buffer = io.BytesIO()
    Image.fromarray(decode(lesion).pixels[0]).resize((width, height)).save(buffer, "PNG")
    reply = server.post(buffer.getvalue()).json()
    assert (reply["input"]["height"], reply["input"]["width"]) == (height, width)
    assert picture(reply["slices"][0]["images"]["mask"]).shape == (height, width)
    assert reply["total_pixels"] == height * width


def test_text_and_json_bodies_are_refused_cleanly(server: Server) -> None:
    for body, kind in ((b"not a scan", "text/plain"), (b'{"a": 1}', "application/json")):
        reply = server.post(body, Content_Type=kind)
        assert reply.status_code == 415
        assert reply.headers["Content-Type"] == "application/problem+json"
        assert reply.json()["code"] == "unsupported_format"
    assert server.post(b"").json()["code"] == "empty_body"
