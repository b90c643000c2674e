"""Drift: what is counted, what it is held against, and what a restart or a kill does to it."""

from __future__ import annotations

import json
import logging
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from handler import drift as counting
from handler.answer import Summary
from handler.card import FileRecord, read_card
from handler.measure import SliceMeasurement
from handler.trust.gate import WEIGHTS_FILE, settings_of
from handler.trust.report import ON, Judgement, Trust, ungated
from tests.gates import by_t1, network_by_t1
from tests.waiting import until
from tests.web.inside import opened
from tests.web.standin import Stage, standing_in
from tests.web.test_passports import release  # noqa: F401  a fixture
from tests.web.workers import working
from training.judge.drift import BINS, StateError, drift_page, read_window
from training.release.drift import DriftError, add_block
from web.health.drift import BLOCK_SLICES, BLOCKS, FORMAT, HEADER, LEAST_SLICES, QUANTITIES, Drift, counts_of, index
from web.settings import Settings

Card = Mapping[str, Any]


def scan(*largest: float, tumours: int = 0) -> Summary:
    return Summary(tuple(SliceMeasurement(i, tumours, 10_000, p) for i, p in enumerate(largest)))


def header(summary: Summary, trust: Trust | None = None, version: str = "1.0") -> str:
    return counting.counted(version, summary, trust or ungated(len(summary.slices)))[counting.HEADER]


def card_of(summary: Summary) -> Card:
    block = json.loads(header(summary))
    return {"trust": {"drift": {"format": block["format"], "counts": block["counts"]}}}


def test_the_bins_are_the_handlers() -> None:
    counts = counting.counts(scan(0.5), ungated(1))
    assert {name: len(row) for name, row in counts.items()} == QUANTITIES
    assert {name: len(names) for name, names in BINS.items()} == QUANTITIES
    assert (counting.FORMAT, counting.HEADER.title()) == (FORMAT, HEADER)


def test_every_slice_is_in_one_bin_and_null_scores_in_none() -> None:
    found = counting.counts(scan(0.05, 0.1, 0.95, tumours=100), ungated(3))
    assert found["max_probability"] == [2, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    assert found["coverage_percent"] == [0, 0, 0, 3, 0, 0, 0, 0, 0]  # 1 % each
    assert (sum(found["score"]), found["verdict"]) == (0, [3, 0, 0])
    judged = (Judgement(True, 0.9), Judgement(False, 0.05, ("not_a_brain",)))
    found = counting.counts(scan(0.2, 0.9), Trust(ON, Judgement(True, 0.9), judged))
    assert found["verdict"] == [0, 1, 1]
    assert sum(found["max_probability"]) == sum(found["coverage_percent"]) == 1
    assert (sum(found["score"]), found["score"][0]) == (2, 1)


rows = st.lists(st.integers(0, 1000), min_size=3, max_size=3).filter(sum)


@given(rows, rows)
def test_the_index_is_none_for_the_same_and_the_same_both_ways(seen: list[int], wanted: list[int]) -> None:
    assert index(seen, seen) == 0
    assert index(seen, wanted) >= 0
    assert math.isfinite(index(seen, wanted))
    assert index(seen, wanted) == pytest.approx(index(wanted, seen))


def test_the_index_of_a_worked_example() -> None:
    """Shares 0.5/0.5 and 0.9/0.1: 0.4 ln 9 = 0.8789, as far as half a slice in a bin changes it."""
    assert index([5000, 5000], [9000, 1000]) == pytest.approx(0.4 * math.log(9), abs=1e-3)


def test_what_is_as_expected_and_what_is_not() -> None:
    usual = scan(*([0.05] * 60), *([0.95] * 40))
    drift = Drift(None, lambda version: card_of(usual))
    drift.observe(header(usual))
    until(lambda: bool(drift.indices()))  # the card is asked in a thread
    same = {row["quantity"]: value for row, value in drift.indices()}
    assert set(same) == {"coverage_percent", "max_probability", "verdict"}  # no score without a gate
    assert max(same.values()) == 0
    for _ in range(BLOCKS * 2):
        drift.observe(header(scan(*([0.95] * BLOCK_SLICES))))
    changed = {row["quantity"]: value for row, value in drift.indices()}
    assert changed["max_probability"] > 0.25
    ((labels, slices),) = drift.slices()
    assert (labels, slices) == ({"model_version": "1.0"}, BLOCKS * BLOCK_SLICES)  # it slides


def test_too_few_slices_and_cards_without_a_reference_say_nothing() -> None:
    few = scan(*([0.5] * (LEAST_SLICES - 1)))
    drift = Drift(None, lambda version: card_of(few))
    drift.observe(header(few))
    drift.close()  # by then the card was asked
    assert drift.indices() == []
    for card in (None, {}, {"trust": {}}, {"trust": None}, {"trust": {"drift": {"format": 99, "counts": {}}}}):
        bare = Drift(None, lambda version, card=card: card)  # type: ignore[misc]
        bare.observe(header(scan(*([0.5] * 200))))
        bare.close()
        assert bare.indices() == []
        assert bare.slices()[0][1] == 200


@given(st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda one: st.lists(one, max_size=10) |
                    st.dictionaries(st.sampled_from([*QUANTITIES, "format", "counts", "version"]), one)))  # fmt: skip
def test_any_header_is_counted_or_passed_over(raw: object) -> None:
    drift = Drift(None, lambda version: None)
    drift.observe(json.dumps(raw))
    assert drift.slices() == []
    assert counts_of(raw) is None


def test_a_restart_goes_on_and_a_kill_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "drift.json"
    first = Drift(path, lambda version: None)
    first.observe(header(scan(0.1, 0.2, 0.3)))
    first.close()
    second = Drift(path, lambda version: None)
    assert (second.slices(), second.gaps) == (first.slices(), 0)
    assert second.since() == first.since()
    second.observe(header(scan(0.4)))  # written soon, being the first; then never closed
    until(lambda: json.loads(path.read_text())["running"])
    with caplog.at_level(logging.WARNING):
        third = Drift(path, lambda version: None)
    assert (third.slices()[0][1], third.gaps) == (4, 1)
    assert "without a word" in caplog.text
    path.write_text("{")
    with caplog.at_level(logging.WARNING):
        fourth = Drift(path, lambda version: None)
    assert (fourth.slices(), fourth.gaps) == ([], 1)
    assert "cannot be read" in caplog.text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("since", float("inf")),
        ("since", float("nan")),
        ("scans", float("inf")),
        ("counts", {name: [1] for name in BINS}),
        ("counts", None),
    ],
)
def test_a_damaged_file_costs_the_window_and_neither_the_start_nor_the_page_a_trace(
    tmp_path: Path, name: str, value: object
) -> None:
    path = tmp_path / "drift.json"
    drift = Drift(path, lambda version: None)
    drift.observe(header(scan(0.1)))
    drift.close()
    raw = json.loads(path.read_text())
    raw["versions"]["1.0"]["blocks"][0][name] = value
    path.write_text(json.dumps(raw))
    again = Drift(path, lambda version: None)
    assert (again.slices(), again.gaps) == ([], 1)
    with pytest.raises(StateError, match="cannot be read"):
        read_window(tmp_path)
    for other in ("[" * 100_000, json.dumps({**raw, "versions": []}), json.dumps({**raw, "gaps": float("inf")})):
        path.write_text(other)
        assert Drift(path, lambda version: None).gaps == 1
        with pytest.raises(StateError, match="cannot be read"):
            read_window(tmp_path)


def test_nothing_of_a_scan_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "drift.json"
    drift = Drift(path, lambda version: None)
    drift.observe(header(scan(0.123456)))
    drift.close()
    text = path.read_text()
    assert "0.123456" not in text
    assert set(json.loads(text)["versions"]["1.0"]["blocks"][0]) == {"since", "scans", "slices", "counts"}


def test_scans_are_counted_on_their_way_and_the_header_stays_inside(
    release: Path, lesion: bytes, stack: bytes, tmp_path: Path  # noqa: F811
) -> None:  # fmt: skip
    state = tmp_path / "drift.json"
    with working(release, "torch") as url, opened(Settings(url, url, drift=state)) as inside:
        for data, accept in ((lesion, "application/json"), (lesion, "image/png"), (stack, "application/json")):
            reply = requests.post(f"{inside.url}/api/v1/segment", data=data, headers={"Accept": accept}, timeout=600)
            assert reply.status_code == 200
            assert not [name for name in reply.headers if "counted" in name.lower()]
        refused = requests.post(f"{inside.url}/api/v1/segment", data=b"no scan", timeout=600)
        assert refused.status_code == 415
        assert inside.metric('brainseg_front_drift_slices{model_version="1.0"}') == 10
        assert inside.metric("brainseg_front_drift_gaps") == 0
    ((window),) = read_window(tmp_path).versions
    assert (window.scans, window.slices, sum(window.counts["verdict"])) == (3, 10, 10)


def test_a_scan_that_gets_no_mask_counts_as_refused(release: Path, lesion: bytes, tmp_path: Path) -> None:  # noqa: F811
    """Who wants a bare mask is refused by 422; a changed scanner shows there first."""
    gated = tmp_path / "gated"
    shutil.copytree(release, gated)
    (gated / WEIGHTS_FILE).write_bytes(network_by_t1(cut=0.0))  # nothing is dark enough
    block = settings_of(by_t1(cut=0.0), FileRecord.of(gated / WEIGHTS_FILE))
    read_card(gated).with_changes(trust={"gate": block}).write(gated)
    with working(gated, "torch") as url, opened(Settings(url, url)) as inside:
        for kind, status in (("image/png", 422), ("application/json", 200)):
            reply = requests.post(f"{inside.url}/api/v1/segment", data=lesion, headers={"Accept": kind}, timeout=600)
            assert reply.status_code == status
            assert not [name for name in reply.headers if "counted" in name.lower()]
        assert inside.metric('brainseg_front_drift_slices{model_version="1.0"}') == 2


def test_an_archive_of_before_counts_nothing(lesion: bytes) -> None:
    with standing_in(Stage()) as stage, opened(Settings(stage.url, stage.url)) as inside:
        assert requests.post(f"{inside.url}/api/v1/segment", data=lesion, timeout=60).status_code == 200
        assert inside.door.drift.slices() == []


def test_the_page_shows_what_changed_and_what_is_missing(tmp_path: Path) -> None:
    usual = scan(*([0.05] * 150))
    drift = Drift(tmp_path / "drift.json", lambda version: card_of(usual))
    drift.observe(header(scan(*([0.95] * 150), tumours=500)))
    drift.close()
    windows = read_window(tmp_path)
    text = drift_page(windows)
    assert "changed" in text
    assert "too few slices" not in windows.versions[0].said("max_probability")
    assert "no reference" in windows.versions[0].said("score")
    assert text.count("<img") == 3
    ((_, front),) = [row for row in drift.indices() if row[0]["quantity"] == "verdict"]
    assert windows.versions[0].index("verdict") == pytest.approx(front)
    with pytest.raises(StateError, match="nothing was segmented"):
        read_window(tmp_path / "none")


def test_the_block_is_added_to_what_a_trust_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "trust.json"
    add_block(path, {"format": 1})
    path.write_text(json.dumps({"gate": {"kind": "facts"}, "drift": {}}))
    add_block(path, {"format": 2})
    assert json.loads(path.read_text()) == {"gate": {"kind": "facts"}, "drift": {"format": 2}}
    path.write_text("[]")
    with pytest.raises(DriftError, match="no JSON object"):
        add_block(path, {})
