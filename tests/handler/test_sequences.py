"""Networks that see fewer than three sequences: the card says which, and nothing else is looked at."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from handler.card import SEQUENCES, Architecture, FileRecord, InputSpec, ModelCard, parse_card
from handler.pipeline import Model, answer
from prove.drawn.pictures import png
from prove.drawn.volumes import nifti, phantom
from tests.handler.models import SmallEngine


def one(sequence: str) -> ModelCard:
    spec = InputSpec(64, 64, (0.5,), (0.25,), (sequence,))
    return ModelCard("brainseg", "1.0", FileRecord("weights", "sha256:0", 1), Architecture(in_channels=1), spec)


def sees(sequence: str) -> Model:
    """The brighter its one channel, the surer."""
    network = torch.nn.Conv2d(1, 1, 1)
    with torch.no_grad():
        network.weight.fill_(4.0)
        network.bias.zero_()
    return Model(one(sequence), SmallEngine(network.eval()))


def asked(model: Model, parts: dict[str, bytes] | bytes, outputs: str = "probability") -> tuple[int, dict[str, Any]]:
    sent, kind = ({"body": parts}, {}) if isinstance(parts, bytes) else (parts, {"Content-Type": "multipart/form-data"})
    found = answer(model, sent, {"X-BrainSeg-Outputs": outputs, **kind}).answer
    return found.status, json.loads(found.body)


def map_of(body: dict[str, Any]) -> NDArray[np.int64]:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(body["slices"][0]["images"]["probability"]))), np.int64)


def codes(body: dict[str, Any]) -> set[str]:
    return {warning["code"] for warning in body["warnings"]}


@pytest.mark.parametrize(("channel", "sequence"), enumerate(SEQUENCES))
def test_of_a_colour_picture_its_own_channel_and_no_other(channel: int, sequence: str) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    status, body = asked(sees(sequence), png(picture))
    assert status == 200
    others = picture.copy()
    others[..., [c for c in range(3) if c != channel]] = 7
    assert np.array_equal(map_of(asked(sees(sequence), png(others))[1]), map_of(body))
    changed = picture.copy()
    changed[..., channel] = 255 - changed[..., channel]
    assert not np.array_equal(map_of(asked(sees(sequence), png(changed))[1]), map_of(body))


def test_a_grey_picture_is_that_channel_and_no_warning() -> None:
    picture = np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)
    grey = asked(sees("flair"), png(picture[..., 1:2]))[1]
    assert np.array_equal(map_of(grey), map_of(asked(sees("flair"), png(picture))[1]))
    assert "grey_input" not in codes(grey)


def test_of_a_volume_its_own_sequence() -> None:
    flair, t1c = nifti(phantom((64, 64, 3))), nifti(phantom((64, 64, 3), seed=4))
    status, alone = asked(sees("flair"), {"flair": flair}, "none")
    assert status == 200
    assert "missing_sequence" not in codes(alone), "it misses nothing"
    assert [entry["channel"] for entry in alone["sequences"]] == ["flair"]
    beside = asked(sees("flair"), {"flair": flair, "t1c": t1c}, "none")[1]
    assert [s["max_probability"] for s in beside["slices"]] == [s["max_probability"] for s in alone["slices"]]
    status, body = asked(sees("t1c"), {"flair": flair, "t1c": t1c}, "probability")
    assert (status, [entry["channel"] for entry in body["sequences"]]) == (200, ["t1c"])
    assert not np.array_equal(map_of(body), map_of(asked(sees("flair"), {"flair": flair}, "probability")[1]))


def test_the_only_sequence_that_it_sees_is_not_there() -> None:
    status, problem = asked(sees("t1c"), {"flair": nifti(phantom())}, "none")
    assert (status, problem["code"]) == (400, "no_image")
    assert "sees T1 with contrast, and the scan has none; send it as the part 't1c'" in problem["detail"]


def test_of_two_sequences_one_may_be_missing_and_is_told() -> None:
    spec = InputSpec(64, 64, (0.5, 0.5), (0.25, 0.25), ("flair", "t1c"))
    network = torch.nn.Conv2d(2, 1, 1).eval()
    card = one("flair").with_changes(architecture=Architecture(in_channels=2), input=spec)
    status, body = asked(Model(card, SmallEngine(network)), {"flair": nifti(phantom((64, 64, 3)))}, "none")
    assert status == 200
    (told,) = (w["detail"] for w in body["warnings"] if w["code"] == "missing_sequence")
    assert told == "there is no T1 with contrast"


def test_the_card_says_which_and_cards_of_before_are_what_they_were() -> None:
    text = one("flair").to_json()
    assert json.loads(text)["input"]["sequences"] == ["flair"]
    assert parse_card(text) == one("flair")
    plain = ModelCard("brainseg", "1.0", FileRecord("weights", "sha256:0", 1))
    assert "sequences" not in json.loads(plain.to_json())["input"]
    assert parse_card(plain.to_json()) == plain


@pytest.mark.parametrize(
    ("spec", "channels", "said"),
    [
        (InputSpec(sequences=()), 3, r"input.sequences \[\]: expected one or more of t1, flair, t1c, in this order"),
        (InputSpec(sequences=("flair", "t1"), mean=(0, 0), std=(1, 1)), 2, "in this order"),
        (InputSpec(sequences=("t2",), mean=(0,), std=(1,)), 1, "expected one or more of t1, flair, t1c"),
        (
            InputSpec(sequences=("flair",), mean=(0,), std=(1,)),
            3,
            r"1 input.sequences \(flair\), .*in_channels.: 3",
        ),
        (InputSpec(sequences=("flair",)), 1, r"\{'mean': 3, 'std': 3\}: expected one for each"),
    ],
)
def test_a_card_that_contradicts_itself(spec: InputSpec, channels: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ModelCard("brainseg", "1.0", FileRecord("w", "", 0), Architecture(in_channels=channels), spec)
