"""How far a run is, on a terminal and elsewhere."""

from __future__ import annotations

import io

from brainseg_client.bar import EVERY_SECONDS, counting


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_terminal_gets_a_bar_that_goes_away() -> None:
    stream, clock = Terminal(), Clock()
    with counting("segmenting", 4, stream, clock) as advance:
        clock.now = 10.0
        advance()
    shown = stream.getvalue().split("\r")
    assert shown[1].strip() == f"segmenting: [{'.' * 30}] 0 of 4"
    assert shown[2] == f"segmenting: [{'#' * 7}{'.' * 23}] 1 of 4, 0:00:30 left"
    assert shown[3:] == [" " * len(shown[2]), ""]


def test_elsewhere_a_line_is_said_now_and_then() -> None:
    stream, clock = io.StringIO(), Clock()
    with counting("segmenting", 100, stream, clock) as advance:
        for _ in range(4):
            clock.now += EVERY_SECONDS / 2
            advance()
    assert stream.getvalue().splitlines() == [
        "segmenting: 2 of 100, 0:24:30 left",
        "segmenting: 4 of 100, 0:24:00 left",
    ]


def test_quick_work_says_nothing_elsewhere() -> None:
    stream = io.StringIO()
    with counting("segmenting", 3, stream, Clock()) as advance:
        advance()
    assert stream.getvalue() == ""
