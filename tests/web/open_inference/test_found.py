"""TorchServe's answer as tensors, in both forms."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import imagecodecs
import numpy as np
import pytest

from web.contract.fields import RefusedError
from web.open_inference import found as module
from web.open_inference.asked import Asked, Wish
from web.open_inference.found import Found, pictures_of, read_found
from web.open_inference.reply import write_reply

MASK = np.array([[0, 255, 0], [255, 255, 0]], np.uint8)
MAP = np.array([[0, 65535, 1], [30000, 65534, 2]], np.uint16)
ALL = {"mask": True, "probability": True, "measurements": True}


def png(picture: np.ndarray[Any, Any]) -> str:
    return base64.b64encode(imagecodecs.png_encode(picture)).decode()


def answer(verdict: str = "tumor_detected", slices: int = 3, **more: Any) -> bytes:
    """Its slice 1 was not assessed."""
    images = [{} if index == 1 else {"mask": png(MASK), "probability": png(MAP)} for index in range(slices)]
    return json.dumps(
        {
            "model": {"version": "2.1"}, "input": {"width": 3, "height": 2, "slices": slices}, "verdict": verdict,
            "trust": {"reasons": ["not_a_brain"]},
            "slices": [{"index": index, "images": one} for index, one in enumerate(images)], **more,
        }
    ).encode()  # fmt: skip


def test_pictures_become_arrays() -> None:
    found = read_found(answer(), ALL, None)
    assert found.version == "2.1"
    assert found.pictures["mask"].tolist() == [MASK.tolist(), np.zeros_like(MASK).tolist(), MASK.tolist()]
    probability = found.pictures["probability"]
    assert probability.dtype == np.float32
    assert np.isnan(probability[1]).all()
    assert np.abs(probability[2] - MAP / 65535).max() < 1e-7
    assert all(one["images"] == {} for one in json.loads(found.measurements)["slices"])


@pytest.mark.parametrize(("slices", "count"), [("all", 3), ("1", 1), ("1-2", 2), ("0-0", 1)])
def test_some_slices(slices: str, count: int) -> None:
    assert read_found(answer(), ALL, slices).pictures["mask"].shape == (count, 2, 3)


def test_a_refused_scan_has_measurements_and_no_mask() -> None:
    refused = answer("not_assessed")
    assert json.loads(read_found(refused, {"measurements": True}, None).measurements)["verdict"] == "not_assessed"
    with pytest.raises(RefusedError, match="not_a_brain") as caught:
        read_found(refused, {"mask": True}, None)
    assert (caught.value.code, caught.value.status) == ("not_assessed", 422)


def test_larger_than_the_limit_is_refused_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eighteen pixels: one byte each in the binary form, four in JSON."""
    monkeypatch.setattr(module, "ANSWER_BYTES", 18)
    assert read_found(answer(), {"mask": True, "measurements": False}, None)
    for wishes in ({"mask": False}, {"mask": True, "probability": True}):
        with pytest.raises(RefusedError) as caught:
            read_found(answer(), wishes, None)
        assert caught.value.code == "response_too_large"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", answer(input={"width": 4, "height": 2, "slices": 3}), answer(slices=0, model=None)]
)
def test_an_answer_of_something_else(body: bytes) -> None:
    with pytest.raises(RefusedError) as caught:
        read_found(body, ALL, None)
    assert caught.value.code == "internal_error"


def test_what_is_asked_of_torchserve() -> None:
    assert pictures_of(("mask", "probability", "measurements")) == "mask,probability"
    assert pictures_of(("measurements",)) == "none"


def found() -> Found:
    return read_found(answer(), ALL, None)


def test_the_binary_form() -> None:
    asked = Asked(b"", {}, tuple(Wish(name, True) for name in ALL), "7")
    body = write_reply(asked, found(), "brainseg")
    length = int(body.headers["Inference-Header-Content-Length"])
    told = json.loads(body.data[:length])
    assert (told["id"], told["model_name"], told["model_version"]) == ("7", "brainseg", "2.1")
    sizes = [one["parameters"]["binary_data_size"] for one in told["outputs"]]
    assert sizes[:2] == [18, 72]
    assert len(body.data) == length + sum(sizes)
    tail = body.data[length:]
    assert np.frombuffer(tail[:18], np.uint8).tolist() == found().pictures["mask"].ravel().tolist()
    assert np.array_equal(np.frombuffer(tail[18:90], "<f4"), found().pictures["probability"].ravel(), equal_nan=True)
    assert struct.unpack("<I", tail[90:94])[0] == len(tail) - 94
    assert tail[94:].decode() == found().measurements


def test_the_json_form() -> None:
    body = write_reply(Asked(b"", {}, tuple(Wish(name, False) for name in ALL)), found(), "brainseg")
    assert body.headers == {"Content-Type": "application/json"}
    mask, probability, measurements = json.loads(body.data)["outputs"]
    assert (mask["datatype"], mask["shape"]) == ("UINT8", [3, 2, 3])
    assert mask["data"] == found().pictures["mask"].ravel().tolist()
    assert probability["data"][6:12] == [None] * 6
    assert probability["data"][1] == 1
    assert json.loads(measurements["data"][0])["verdict"] == "tumor_detected"


def test_one_behind_and_one_within() -> None:
    body = write_reply(Asked(b"", {}, (Wish("measurements", False), Wish("mask", True))), found(), "brainseg")
    length = int(body.headers["Inference-Header-Content-Length"])
    first, second = json.loads(body.data[:length])["outputs"]
    assert "data" in first
    assert second["parameters"]["binary_data_size"] == len(body.data) - length == 18
