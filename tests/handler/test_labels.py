"""What the values of a mask mean, as a card says it: written and read back the same, and every fault in it named."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest

from handler.card import Architecture, parse_card
from handler.labels import ACTIVATIONS, MOST_LABELS, SIGMOID, SOFTMAX, Code, Label, Labelling, Region
from tests.handler.models import card
from tests.labelled import LABELS, REGIONS, labelled_card


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_round_trip(activation: str) -> None:
    written = labelled_card(activation)
    read = parse_card(written.to_json())
    assert read == written
    assert read.labelling == Labelling(LABELS, REGIONS[activation], activation)
    assert read.names == tuple(label.name for label in LABELS)


def test_the_json_is_what_was_agreed() -> None:
    raw = json.loads(labelled_card(SIGMOID).to_json())
    assert raw["labels"][1] == {
        "value": 2,
        "name": "oedema",
        "colour": [0, 200, 0],
        "code": {"value": "79654002", "scheme": "SCT", "meaning": "Edema"},
    }
    assert raw["regions"][0] == {"name": "whole tumour", "labels": [1, 2, 3], "threshold": 0.5, "writes": 2}
    assert raw["activation"] == "sigmoid"


def test_a_region_says_what_it_writes_only_where_it_writes() -> None:
    raw = json.loads(labelled_card(SOFTMAX).to_json())
    for region in raw["regions"]:
        del region["writes"]
    assert parse_card(json.dumps(raw)) == labelled_card(SOFTMAX)
    raw["regions"] = []
    assert parse_card(json.dumps(raw)).regions == ()


def test_a_card_without_labels_is_written_as_before() -> None:
    raw = json.loads(card().to_json())
    assert not {"labels", "regions", "activation"} & raw.keys()
    assert parse_card(json.dumps(raw)).labelling is None


def _set(*path: Any) -> Callable[[dict[str, Any], Any], None]:
    def change(raw: dict[str, Any], value: Any) -> None:
        for step in path[:-1]:
            raw = raw[step]
        raw[path[-1]] = value

    return change


FAULTS: list[tuple[tuple[Any, ...], Any, str]] = [
    (("labels", 0, "value"), 2, "label values"),
    (("labels", 0, "value"), True, "label value"),
    (("labels", 0, "value"), MOST_LABELS + 1, "label value"),
    (("labels", 0, "name"), "oedema", "names of labels"),
    (("labels", 0, "name"), "", "name of label 1"),
    (("labels", 0, "name"), "a\nb", "name of label 1"),
    (("labels", 0, "name"), "a\\b", "name of label 1"),
    (("labels", 0, "name"), 65 * "a", "name of label 1"),
    (("labels", 0, "name"), 7, "name of label 1"),
    (("labels", 0, "colour"), [0, 0], "colour"),
    (("labels", 0, "colour"), [0, 0, 256], "colour"),
    (("labels", 0, "colour"), [0, 0, 0.5], "colour"),
    (("labels", 0, "code", "value"), "", "code value"),
    (("labels", 0, "code", "scheme"), 17 * "S", "code scheme"),
    (("labels", 0, "code"), {"value": "1", "scheme": "SCT"}, "meaning"),
    (("labels", 0, "alpha"), 1, "alpha"),
    (("labels", 0), "necrosis", "expected names alone"),
    (("labels",), [], "the card has none"),
    (("regions", 0, "labels"), [], "expected one or more"),
    (("regions", 0, "labels"), [1, 1], "expected one or more"),
    (("regions", 0, "labels"), [1, 2, 4], "expected some of"),
    (("regions", 0, "threshold"), 1, "expected 0 < threshold < 1"),
    (("regions", 0, "threshold"), "0.5", "TypeError"),
    (("regions", 0, "name"), "tumour core", "names of regions"),
    (("regions", 1, "writes"), 2, "expected one of its labels"),
    (("regions", 1, "writes"), 3, "expected each of"),
    (("regions", 1, "writes"), None, "expected each of"),
    (("activation",), "", "activation"),
    (("activation",), "relu", "activation"),
    (("activation",), "softmax", "of their own"),
    (("architecture", "classes"), 4, "expected 3"),
]


@pytest.mark.parametrize(("path", "value", "said"), FAULTS, ids=[f"{one[0]}-{one[1]!r:.20}" for one in FAULTS])
def test_a_fault_is_named(path: tuple[Any, ...], value: Any, said: str) -> None:
    raw = copy.deepcopy(json.loads(labelled_card(SIGMOID).to_json()))
    _set(*path)(raw, value)
    with pytest.raises(ValueError, match="not a BrainSeg model card") as refused:
        parse_card(json.dumps(raw))
    assert said in str(refused.value)


def test_what_a_binary_card_cannot_have() -> None:
    for changes in ({"regions": REGIONS[SOFTMAX]}, {"activation": SOFTMAX}):
        with pytest.raises(ValueError, match="the card has none"):
            card(**changes)


def test_a_classifier_has_names_alone() -> None:
    architecture = Architecture("classifier", "vgg16", (), classes=3)
    names = tuple(label.name for label in LABELS)
    assert card(architecture=architecture, labels=names).labelling is None
    with pytest.raises(ValueError, match="each once"):
        labelled_card(architecture=architecture, labels=LABELS)


def test_values_begin_at_one() -> None:
    with pytest.raises(ValueError, match="label value 0"):
        dataclasses.replace(LABELS[0], value=0)
    assert Label(1, "a", (0, 0, 0), Code("1", "SCT", "a")).value == 1
    assert Region("a", (1,)).threshold == 0.5
