"""The gate lets in what fits, in order, and sends the rest away with a time to come back."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tests.waiting import until
from web.contract.fields import MIB, RefusedError
from web.settings import Bounds
from web.way.gate import PASSED, Gate, GoneError, Work


def stays() -> None:
    return


def goes() -> None:
    raise GoneError


class Guest(threading.Thread):
    """Holds a place from ``start`` to ``leave``."""

    def __init__(
        self,
        gate: Gate,
        size: int = 1,
        client: str = "a",
        check: Callable[[], None] = stays,
        version: str = "1.0",
        long: bool = False,
    ) -> None:
        super().__init__(daemon=True)
        self.gate = gate
        self._asked = Work(version, size, long), client, check
        self._leave = threading.Event()
        self.inside = False
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            with self.gate.place(*self._asked):
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
    gate = Gate(Bounds(running=4, waiting=5, running_bytes=100 * MIB))
    large, other, small = Guest(gate, 500 * MIB), Guest(gate, 5 * MIB), Guest(gate, MIB)
    enter(large, other, small)
    until(lambda: large.inside and small.inside)  # a slice is not held up by the bytes of others
    assert not other.inside
    large.leave()
    until(lambda: other.inside)
    small.leave()
    other.leave()


def test_one_versions_bodies_leave_room_for_anothers() -> None:
    gate = Gate(Bounds(running_bytes=100 * MIB, version_bytes=60 * MIB))
    first, second, other = Guest(gate, 50 * MIB), Guest(gate, 40 * MIB), Guest(gate, 40 * MIB, version="2.0")
    enter(first, second, other)
    until(lambda: other.inside)
    assert not second.inside
    for guest in (first, other, second):
        guest.leave()


def test_a_version_that_is_busy_holds_up_nobody_elses() -> None:
    """Four stacks for 1.0 kept an idle 2.0 from answering a slice for 45 s."""
    gate = Gate(Bounds(running=2, waiting=3))
    busy = [Guest(gate, long=True) for _ in range(5)]
    enter(*busy)
    with pytest.raises(RefusedError, match="5 requests"), gate.place(Work("1.0", 1), "b", stays):
        pass
    slice_of_another = Guest(gate, version="2.0")
    enter(slice_of_another)
    until(lambda: slice_of_another.inside)
    for guest in (slice_of_another, *busy):
        guest.leave()
    assert not gate._lanes


def test_a_slice_waits_for_one_stack_and_not_for_all() -> None:
    gate = Gate(Bounds(running=3, waiting=9))
    stacks = [Guest(gate, long=True) for _ in range(3)]
    enter(*stacks)
    assert [guest.inside for guest in stacks] == [True, False, False]
    short = Guest(gate)
    enter(short)
    until(lambda: short.inside)
    short.leave()
    for guest in stacks:
        until(lambda one=guest: one.inside)  # type: ignore[misc]
        guest.leave()


def test_where_there_are_workers_one_is_left_to_slices() -> None:
    gate = Gate(Bounds(running=4), lambda version: 3)
    stacks = [Guest(gate, long=True) for _ in range(3)]
    enter(*stacks)
    assert [guest.inside for guest in stacks] == [True, True, False]
    for guest in stacks:
        guest.leave()


def test_a_stack_is_overtaken_a_few_times_and_not_for_ever() -> None:
    gate = Gate(Bounds(running=1, waiting=20))
    first, stack = Guest(gate), Guest(gate, long=True)
    enter(first, stack)
    slices = [Guest(gate) for _ in range(PASSED + 3)]
    enter(*slices)
    first.leave()
    for guest in slices[:PASSED]:
        until(lambda one=guest: one.inside)  # type: ignore[misc]
        assert not stack.inside
        guest.leave()
    until(lambda: stack.inside)
    assert not slices[PASSED].inside
    stack.leave()
    for guest in slices[PASSED:]:
        guest.leave()


def test_a_full_queue_sends_away_with_a_time() -> None:
    gate = Gate(Bounds(running=1, waiting=0))
    first = Guest(gate)
    enter(first)
    until(lambda: first.inside)
    with pytest.raises(RefusedError) as caught, gate.place(Work("1.0", 1), "b", stays):
        pass
    assert (caught.value.code, caught.value.retry_after) == ("queue_full", 2)
    first.leave()


def test_one_client_cannot_take_all_places() -> None:
    gate = Gate(Bounds(running=2, waiting=2, client_share=0.5))
    guests = [Guest(gate) for _ in range(2)]
    enter(*guests)
    with pytest.raises(RefusedError) as caught, gate.place(Work("1.0", 1), "a", stays):
        pass
    assert caught.value.code == "rate_limited"
    other = Guest(gate, client="b")
    enter(other)
    for guest in (*guests, other):
        guest.leave()
    assert not gate._holders


def test_who_hangs_up_or_waits_too_long_leaves_the_queue() -> None:
    gate = Gate(Bounds(running=1, waiting=5, waiting_seconds=0.2))
    first, gone, late = Guest(gate), Guest(gate, check=goes), Guest(gate)
    enter(first, gone, late)
    until(lambda: late.error is not None)
    assert isinstance(gone.error, GoneError)
    assert isinstance(late.error, RefusedError)
    assert late.error.code == "queue_full"
    assert gate.waiting == 0
    first.leave()
