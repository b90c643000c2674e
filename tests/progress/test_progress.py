"""How far long work is, where no terminal watches."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from progress import lines
from progress.bars import counting
from progress.lines import Lines


class Clock:
    """Seconds that pass when told."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_line_each_half_minute_with_the_time_left() -> None:
    clock, written = Clock(), list[str]()
    progress = Lines("training", 1000, written.append, clock=clock)
    for step in range(1, 101):
        clock.now += 1.0
        progress.at(step, "loss 0.500")
    assert written == [
        "training: 30 of 1000, 0:16:10 left, loss 0.500",
        "training: 60 of 1000, 0:15:40 left, loss 0.500",
        "training: 90 of 1000, 0:15:10 left, loss 0.500",
    ]


def test_neither_setting_up_nor_steps_of_an_earlier_run_say_anything_of_the_speed() -> None:
    clock, written = Clock(), list[str]()
    progress = Lines("training", 1000, written.append, clock=clock)
    clock.now += 100.0
    progress.at(900)
    clock.now += 40.0
    progress.at(910)
    assert written == ["training: 900 of 1000", "training: 910 of 1000, 0:06:00 left"]


def test_what_a_command_counts_is_lines_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "EVERY_SECONDS", 0.0)
    file = io.StringIO()
    with counting("reading [slices]", 2, Console(file=file)) as advance:
        advance()
        advance()
    assert file.getvalue().splitlines()[-1] == "reading [slices]: 2 of 2, 0:00:00 left"
    assert len(file.getvalue().splitlines()) == 2


def test_short_work_says_nothing_in_a_file() -> None:
    file = io.StringIO()
    with counting("reading slices", 2, Console(file=file)) as advance:
        advance()
    assert file.getvalue() == ""


def test_a_terminal_gets_a_bar() -> None:
    file = io.StringIO()
    with counting("reading slices", 2, Console(file=file, force_terminal=True)) as advance:
        advance()
    assert "1/2" in file.getvalue()
