"""The gate's word about slices and scans, and its file beside the card."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from handler.card import FileRecord
from handler.trust.gate import CLASSES, KIND, WEIGHTS_FILE, Gate, look_of, open_gate, settings_of
from handler.trust.report import Trust
from handler.trust.thumbs import thumbs
from tests.gates import by_t1, network_by_t1
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
    return gate.judge(thumbs(stack(*t1)), asked)


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
    seen, gate = thumbs(stack(KNOWN)), by_t1()
    near = float(gate.look(seen.pictures)[1][0])
    assert gate.with_settings(limit=near).judge(seen).scan.accepted is True
    assert gate.with_settings(limit=near / 3).judge(seen).scan.accepted is False


def test_a_slice_is_judged_alone_as_among_more_than_go_together() -> None:
    many = thumbs(stack(*np.linspace(0.1, 0.9, 70)))
    scores, classes = by_t1().scores(many.pictures)
    assert classes.shape == (70, len(CLASSES))
    for index in (0, 33, 69):
        alone = by_t1().scores(many.only([index]).pictures)[0]
        assert alone[0] == pytest.approx(scores[index], abs=1e-5)


def test_nearly_black_alone_is_told_by_its_brightness() -> None:
    assert judged(by_t1(), DARK).scan.reasons == ("nearly_black",)


def written(folder: Path) -> dict[str, object]:
    (folder / WEIGHTS_FILE).write_bytes(network_by_t1())
    return settings_of(by_t1(), FileRecord.of(folder / WEIGHTS_FILE))


def test_it_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    block, gate = written(tmp_path), by_t1()
    opened = open_gate(card(trust={"gate": block}), tmp_path)
    assert opened is not None
    assert (opened.limit, opened.threshold, opened.share) == (gate.limit, gate.threshold, gate.share)
    seen = thumbs(stack(KNOWN, OTHER)).pictures
    np.testing.assert_array_equal(opened.scores(seen)[1], gate.scores(seen)[1])
    assert open_gate(card(), tmp_path) is None
    assert card(trust={"gate": block}).trust_records == (FileRecord.of(tmp_path / WEIGHTS_FILE),)


def test_a_file_that_holds_no_gate_is_refused() -> None:
    with pytest.raises(ValueError, match=KIND):
        look_of(b"no network at all")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "facts-9"}, KIND),
        ({"kind": None}, KIND),
        ({"classes": list(CLASSES[:3])}, KIND),
        ({"threshold": None}, "TypeError"),
        ({"weights": {"file": "../gate.onnx", "sha256": "", "bytes": 1}}, "plain file name"),
        ({"weights": {"file": WEIGHTS_FILE, "sha256": "sha256:0", "bytes": 1}}, "changed or swapped"),
    ],
)
def test_another_gate_than_this_code_knows_is_refused(tmp_path: Path, change: dict[str, object], said: str) -> None:
    block = written(tmp_path)
    with pytest.raises(ValueError, match=said):
        open_gate(card(trust={"gate": {**block, **change}}), tmp_path)
