"""The gate's word about slices and scans, and its file beside the card."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from handler.card import FileRecord
from handler.trust.facts import facts
from handler.trust.gate import CLASSES, KIND, WEIGHTS_FILE, Gate, open_gate, settings_of, weights_of
from handler.trust.report import Trust
from tests.gates import by_t1
from tests.handler.models import card

KNOWN, OTHER, DARK, BLACK = 0.3, 0.8, 0.05, 0.0


def stack(*t1: float) -> np.ndarray:
    """A round head a slice, its first channel as bright as given."""
    rows, columns = np.mgrid[:64, :64] - 32
    head = ((rows / 26) ** 2 + (columns / 20) ** 2 < 1)[..., None]
    return np.stack([np.where(head, [one, 0.9 * (one > DARK) + 0.05 * (one == DARK), one], 0) for one in t1]).astype(
        np.float32
    )


def judged(gate: Gate, *t1: float, asked: str = "on") -> Trust:
    return gate.judge(facts(stack(*t1)), asked)


def test_a_slice_alone_is_its_scan() -> None:
    gate = by_t1()
    assert judged(gate, KNOWN).scan.accepted is True
    refused = judged(gate, OTHER)
    assert refused.scan.reasons == refused.slices[0].reasons == ("other_contrast",)
    assert refused.refused
    assert not refused.assessed(0)


def test_the_share_of_accepted_slices_decides_about_a_stack() -> None:
    gate = by_t1(share=0.5)
    mixed = judged(gate, KNOWN, OTHER, KNOWN)
    assert [mixed.assessed(i) for i in range(3)] == [True, False, True]
    assert not mixed.refused
    assert judged(gate, KNOWN, OTHER, OTHER).refused


def test_empty_ends_say_nothing_about_a_stack() -> None:
    trust = judged(by_t1(share=0.9), BLACK, KNOWN, BLACK, BLACK)
    assert [one.accepted for one in trust.slices] == [True] * 4
    assert judged(by_t1(), BLACK, BLACK).scan.reasons == ("nearly_black",)


def test_one_that_is_overruled_keeps_its_word() -> None:
    trust = judged(by_t1(), OTHER, asked="off")
    assert (trust.gate, trust.scan.accepted, trust.refused, trust.assessed(0)) == ("off", False, False, True)


def test_what_lies_far_from_all_known_slices_is_refused_whatever_it_is_taken_for() -> None:
    seen = facts(stack(KNOWN))
    gate = by_t1()
    near = float(gate.distances(seen.values)[0, 1])
    assert gate.with_settings(limits=(1e9, near)).judge(seen).scan.accepted is True
    assert gate.with_settings(limits=(1e9, near / 3)).judge(seen).scan.accepted is False


def written(folder: Path, gate: Gate) -> dict[str, object]:
    (folder / WEIGHTS_FILE).write_bytes(weights_of(gate))
    return settings_of(gate, FileRecord.of(folder / WEIGHTS_FILE))


def test_it_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    gate = by_t1()
    opened = open_gate(card(trust={"gate": written(tmp_path, gate)}), tmp_path)
    assert opened is not None
    for field in dataclasses.fields(Gate):
        np.testing.assert_array_equal(getattr(opened, field.name), getattr(gate, field.name))
    assert open_gate(card(), tmp_path) is None
    assert card(trust={"gate": written(tmp_path, gate)}).trust_records == (FileRecord.of(tmp_path / WEIGHTS_FILE),)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "facts-9"}, KIND),
        ({"facts": 3}, KIND),
        ({"classes": list(CLASSES[:3])}, KIND),
        ({"threshold": None}, "TypeError"),
        ({"weights": {"file": "../gate.safetensors", "sha256": "", "bytes": 1}}, "plain file name"),
        ({"weights": {"file": WEIGHTS_FILE, "sha256": "sha256:0", "bytes": 1}}, "changed or swapped"),
    ],
)
def test_another_gate_than_this_code_knows_is_refused(tmp_path: Path, change: dict[str, object], said: str) -> None:
    block = written(tmp_path, by_t1())
    with pytest.raises(ValueError, match=said):
        open_gate(card(trust={"gate": {**block, **change}}), tmp_path)
