"""The record of how an answer was made: complete, replayable, and only where it is asked for."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.fields import Fields, parse_fields
from handler.outcome import Outcome
from handler.passport import HEADER, KIND, WITHOUT_EFFECT, Build, fields_as_sent
from handler.pipeline import Model, answer
from tests.contract import check_answer, picture
from tests.handler.models import DIGEST

numbers = st.floats(-1e6, 1e6).filter(lambda one: one == one)
asked = st.builds(
    Fields,
    threshold=st.none() | st.floats(0, 1, exclude_min=True, exclude_max=True),
    min_lesion_pixels=st.none() | st.integers(0, 10**8),
    intensity_range=st.none() | st.tuples(numbers, numbers).filter(lambda pair: pair[0] + 1 < pair[1]),
    series=st.none() | st.integers(1, 999),
    register=st.booleans(),
    gate=st.sampled_from(["on", "off"]),
)


@given(asked)
def test_what_is_written_down_asks_for_the_same_again(fields: Fields) -> None:
    assert parse_fields(fields_as_sent(fields).items()) == fields


def ask(model: Model, scan: bytes, **headers: str) -> Outcome:
    return answer(model, {"body": scan}, {name.replace("_", "-"): text for name, text in headers.items()})


def content(envelope: Mapping[str, Any]) -> dict[str, Any]:
    assert (envelope["payloadType"], envelope["signatures"]) == (KIND, [])
    found: dict[str, Any] = json.loads(base64.b64decode(envelope["payload"]))
    return found


def test_nothing_is_said_where_nothing_is_asked(flair: Model, lesion: bytes) -> None:
    for headers in ({}, {"X_BrainSeg_Passport": "off"}):
        outcome = ask(flair, lesion, **headers)
        assert check_answer(outcome.answer.body)["passport"] is None
        assert HEADER not in outcome.answer.headers


@pytest.mark.parametrize("name", ["lesion", "stack"])
def test_the_record_is_of_the_mask_that_was_given(name: str, flair: Model, request: pytest.FixtureRequest) -> None:
    scan: bytes = request.getfixturevalue(name)
    outcome = ask(flair, scan, X_BrainSeg_Passport="on", X_BrainSeg_Threshold="0.4", X_BrainSeg_Outputs="mask")
    reply = check_answer(outcome.answer.body)
    found = content(reply["passport"])
    masks = [imagecodecs.png_decode(picture(reply, "mask", one["index"])) for one in reply["slices"]]
    voxels = (np.stack(masks) > 0).astype(np.uint8)
    assert found["mask"] == {"sha256": hashlib.sha256(voxels.tobytes()).hexdigest(), "shape": list(voxels.shape)}
    assert found["input"] == {"file": f"sha256:{hashlib.sha256(scan).hexdigest()}"}
    assert found["figures"] == {key: reply[key] for key in found["figures"]}
    assert {"verdict", "tumor_pixels", "tumor_coverage_percent", "max_probability"} <= set(found["figures"])
    assert found["model"] == {"name": "brainseg", "version": "1.0", "weights": DIGEST}
    assert found["settings"].items() >= {"threshold": "0.4", "min_lesion_pixels": "0"}.items()
    assert not set(WITHOUT_EFFECT) & set(found["settings"])
    assert (found["engine"]["name"], found["engine"]["threads"]) == ("small", 1)
    assert found["engine"]["files"] == {"weights.safetensors": DIGEST}
    carried = base64.b64decode(outcome.answer.headers[HEADER])
    assert b'"passport": ' + carried in outcome.answer.body


def test_a_mask_by_itself_carries_the_same_record_in_a_header(flair: Model, lesion: bytes) -> None:
    asked_for = {"X_BrainSeg_Passport": "on"}
    inside = content(json.loads(ask(flair, lesion, **asked_for).answer.body)["passport"])
    bare = ask(flair, lesion, Accept="image/png", **asked_for).answer
    assert imagecodecs.png_decode(bare.body).any()
    assert content(json.loads(base64.b64decode(bare.headers[HEADER]))) == inside


def test_pictures_that_are_asked_for_change_nothing_and_a_setting_does(flair: Model, lesion: bytes) -> None:
    def mask(**headers: str) -> str:
        reply = json.loads(ask(flair, lesion, X_BrainSeg_Passport="on", **headers).answer.body)
        digest: str = content(reply["passport"])["mask"]["sha256"]
        return digest

    assert mask() == mask(X_BrainSeg_Outputs="none") == mask(X_BrainSeg_Outputs="overlay,heatmap")
    assert mask() != mask(X_BrainSeg_Threshold="0.999")


def test_the_archive_is_known_by_its_digests_where_there_is_one(tmp_path: Path) -> None:
    assert Build.of(tmp_path) == Build()
    (tmp_path / "digests.json").write_text("{}")
    assert Build.of(tmp_path) == Build()
    raw = json.dumps({"inputs": "sha256:1", "build": "sha256:2", "members": {}}).encode()
    (tmp_path / "digests.json").write_bytes(raw)
    assert Build.of(tmp_path) == Build(f"sha256:{hashlib.sha256(raw).hexdigest()}", "sha256:2")
