"""The gate lets in what fits, in order, and sends the rest away with a time to come back."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tests.waiting import until
from web.contract.fields import RefusedError
from web.settings import Bounds
from web.way.gate import Gate, GoneError


def never() -> bool:
    return False


class Guest(threading.Thread):
    """Holds a place from ``start`` to ``leave``."""

    def __init__(self, gate: Gate, size: int = 1, client: str = "a", gone: Callable[[], bool] = never) -> None:
        super().__init__(daemon=True)
        self.gate = gate
        self._asked = gate, size, client, gone
        self._leave = threading.Event()
        self.inside = False
        self.error: Exception | None = None

    def run(self) -> None:
        gate, size, client, gone = self._asked
        try:
            with gate.place(size, client, gone):
                self.inside = True
                self._leave.wait(120)
        except (RefusedError, GoneError) as error:
            self.error = error

    def leave(self) -> None:
        self._leave.set()
        self.join(120)


def enter(*guests: Guest) -> None:
    """One after the other: each is in, in the queue or sent away before the next one comes."""
    for guest in guests:
        before = guest.gate.waiting
        guest.start()
        until(lambda one=guest, queue=before: one.inside or one.error is not None or one.gate.waiting > queue)  # type: ignore[misc]


def test_places_are_given_in_order() -> None:
    gate = Gate(Bounds(running=1, waiting=5))
    first, second, third = (Guest(gate) for _ in range(3))
    enter(first, second, third)
    until(lambda: first.inside)
    assert (gate.running, gate.waiting, second.inside) == (1, 2, False)
    first.leave()
    until(lambda: second.inside)
    assert not third.inside
    second.leave()
    until(lambda: third.inside)
    third.leave()
    assert (gate.running, gate.waiting, gate.running_bytes) == (0, 0, 0)


def test_bytes_are_bounded_and_a_large_body_goes_alone() -> None:
    gate = Gate(Bounds(running=4, waiting=5, running_bytes=100))
    large, small = Guest(gate, 500), Guest(gate, 1)
    enter(large, small)
    until(lambda: large.inside)
    assert not small.inside
    large.leave()
    until(lambda: small.inside)
    small.leave()


def test_a_full_queue_sends_away_with_a_time() -> None:
    gate = Gate(Bounds(running=1, waiting=0))
    first = Guest(gate)
    enter(first)
    until(lambda: first.inside)
    with pytest.raises(RefusedError) as caught, gate.place(1, "b", never):
        pass
    assert (caught.value.code, caught.value.retry_after) == ("queue_full", 2)
    first.leave()


def test_one_client_cannot_take_all_places() -> None:
    gate = Gate(Bounds(running=2, waiting=2, client_share=0.5))
    guests = [Guest(gate) for _ in range(2)]
    enter(*guests)
    with pytest.raises(RefusedError) as caught, gate.place(1, "a", never):
        pass
    assert caught.value.code == "rate_limited"
    other = Guest(gate, client="b")
    enter(other)
    for guest in (*guests, other):
        guest.leave()
    assert not gate._holders


def test_who_hangs_up_or_waits_too_long_leaves_the_queue() -> None:
    gate = Gate(Bounds(running=1, waiting=5, waiting_seconds=0.2))
    first, gone, late = Guest(gate), Guest(gate, gone=lambda: True), Guest(gate)
    enter(first, gone, late)
    until(lambda: late.error is not None)
    assert isinstance(gone.error, GoneError)
    assert isinstance(late.error, RefusedError)
    assert late.error.code == "queue_full"
    assert gate.waiting == 0
    first.leave()
