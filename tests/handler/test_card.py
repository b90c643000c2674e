"""The model card: written and read back the same, and every fault in it named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.store import ROOT
from handler.card import Architecture, Calibration, FileRecord, InputSpec, ModelCard, parse_card, read_card
from tests.handler.models import card

NUMBERS = st.floats(-1e6, 1e6)


def as_json(**changes: Any) -> str:
    return json.dumps({**json.loads(card().to_json()), **changes})


FULL = card(
    architecture=Architecture("unet", "resnet18", (16, 8, 8, 8, 8)),
    input=InputSpec(64, 96, (0.1, 0.2, 0.3), (1, 2, 3)),
    calibration=Calibration(1.2, -0.3),
    engines={"ncnn": (FileRecord("net.param", "sha256:1", 10), FileRecord("net.bin", "sha256:2", 20))},
    data={"train": ["case-1"], "test": ["case-2"]},
    recipe={"epochs": 3},
    metrics={"dice": {"value": 0.9}},
    known_answers=({"file": "lesion.png", "sha256": "x"},),
    libraries={"torch": "2"},
    licences={"weights": "CC BY-NC-SA 4.0"},
    limits=("adults only",),
    trust={"gate": {"kind": "facts"}},
    created="2026-01-01T00:00:00+00:00",
)


def test_a_card_without_trust_is_written_as_it_was_before_there_was_any() -> None:
    assert "trust" not in json.loads(card().to_json())
    for version in ("1.0", "2.0"):
        file = ROOT / "model_store" / f"brainseg-{version}" / "model-card.json"
        assert parse_card(file.read_text()).to_json() == file.read_text()


def test_round_trip_of_a_full_card(tmp_path: Path) -> None:
    FULL.write(tmp_path)
    assert read_card(tmp_path) == FULL


@given(
    threshold=st.floats(0, 1, exclude_min=True, exclude_max=True),
    smallest=st.integers(0, 10**9),
    scale=NUMBERS,
    offset=NUMBERS,
    name=st.text(max_size=20),
)
def test_round_trip(threshold: float, smallest: int, scale: float, offset: float, name: str) -> None:
    written = card(
        threshold=threshold, min_lesion_pixels=smallest, calibration=Calibration(scale, offset), created=name
    )
    assert parse_card(written.to_json()) == written


@pytest.mark.parametrize("key", list(json.loads(card().to_json())))
def test_a_missing_key_is_named(key: str) -> None:
    raw = json.loads(card().to_json())
    del raw[key]
    with pytest.raises(ValueError, match=key):
        parse_card(json.dumps(raw))


@pytest.mark.parametrize("part", ["weights", "architecture", "input", "calibration"])
def test_a_missing_or_unknown_key_of_a_part_is_named(part: str) -> None:
    whole = json.loads(card().to_json())[part]
    for key in whole:
        with pytest.raises(ValueError, match=key):
            parse_card(as_json(**{part: {k: v for k, v in whole.items() if k != key}}))
    with pytest.raises(ValueError, match="surprise"):
        parse_card(as_json(**{part: {**whole, "surprise": 1}}))


def test_an_unknown_key_is_named() -> None:
    with pytest.raises(ValueError, match="treshold"):
        parse_card(as_json(treshold=0.5))


@pytest.mark.parametrize(
    "changes",
    [
        {"card_format": 2},
        {"card_format": "1"},
        {"threshold": 0},
        {"threshold": 1},
        {"threshold": float("nan")},
        {"threshold": "0.5"},
        {"min_lesion_pixels": -1},
        {"input": {"height": 250, "width": 256, "mean": [0], "std": [1]}},
        {"weights": {"file": "../weights", "sha256": "", "bytes": 1}},
        {"weights": {"file": "/etc/passwd", "sha256": "", "bytes": 1}},
        {"weights": "weights.safetensors"},
        {"engines": [1, 2]},
        {"engines": {"ncnn": [{"file": "x"}]}},
        {"architecture": None},
        {"limits": 3},
    ],
)
def test_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not a BrainSeg model card"):
        parse_card(as_json(**changes))


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", "7", '"card"', "{", "[[[[", '{"card_format": 1}'])
def test_other_files_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a BrainSeg model card"):
        parse_card(text)


def test_a_missing_card_is_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_card(tmp_path)


def test_a_digest_that_differs_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"weights")
    record = FileRecord.of(file)
    assert record.verify(tmp_path) is None
    assert record.bytes == 7
    file.write_bytes(b"Weights")
    with pytest.raises(ValueError, match=r"weights\.safetensors has digest sha256:.* its model card says"):
        record.verify(tmp_path)


def test_changes_must_be_known() -> None:
    with pytest.raises(TypeError):
        ModelCard("a", "1", FileRecord("w", "", 0)).with_changes(treshold=0.5)
