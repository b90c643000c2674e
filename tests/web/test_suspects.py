"""Inputs over which workers died are remembered for a while."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

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


def test_one_suspect_is_tried_at_a_time() -> None:
    """Whoever died of a neighbour must not have it for a neighbour again."""
    known, inside, order = Suspects(), threading.Event(), list[str]()

    def try_again() -> None:
        with known.alone(lambda: inside.set()):
            order.append("second")

    with known.alone(lambda: None):
        thread = threading.Thread(target=try_again)
        thread.start()
        assert inside.wait(120)  # it waits, and asks meanwhile whether it should
        order.append("first")
    thread.join(120)
    assert order == ["first", "second"]


def test_who_waits_for_another_suspect_may_give_up() -> None:
    known = Suspects()

    def gone() -> None:
        raise InterruptedError

    def wait() -> None:
        with known.alone(gone):
            raise AssertionError("two at a time")

    with known.alone(lambda: None), ThreadPoolExecutor(1) as pool:
        assert isinstance(pool.submit(wait).exception(120), InterruptedError)
    with known.alone(gone):  # it has not kept what it never had
        pass
