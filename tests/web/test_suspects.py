"""Inputs over which workers died are remembered for a while."""

from __future__ import annotations

import pytest

from web.way import suspects
from web.way.submission import Submission
from web.way.suspects import Suspects


def test_deaths_are_counted_by_scan_and_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    scan = Submission(b"scan", {"threshold": "0.5"}, "", None)
    other = Submission(memoryview(b"scan"), {"threshold": "0.6"}, "", None)
    known = Suspects()
    assert known.deaths(scan) == 0
    assert [known.add(scan), known.add(scan), known.add(other)] == [1, 2, 1]
    assert (known.deaths(scan), known.deaths(other)) == (2, 1)
    monkeypatch.setattr(suspects, "FORGET_SECONDS", -1.0)
    assert known.deaths(scan) == 0


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suspects, "MOST", 3)
    known = Suspects()
    for number in range(20):
        known.add(Submission(b"%d" % number, {}, "", None))
    assert len(known._deaths) <= 4
