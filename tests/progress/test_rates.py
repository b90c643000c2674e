"""How fast work goes, on a terminal and without one."""

from __future__ import annotations

import io

from rich.console import Console

from progress.rates import rate, rating


def test_without_a_terminal_a_line_each_half_minute_says_how_fast_how_long_and_how_many_were_refused() -> None:
    now = [0.0]
    console = Console(file=io.StringIO(), width=200)
    with rating("bulk", 100, "scans", console, lambda: now[0]) as at:
        for second in range(1, 71):
            now[0] = float(second)
            at(second, second // 10)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines == [
        "bulk: 30 of 100, 0:01:10 left, 1.0 scans/s, 3 refused",
        "bulk: 60 of 100, 0:00:40 left, 1.0 scans/s, 6 refused",
    ]


def test_on_a_terminal_a_bar() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with rating("bulk", 10, "scans", console) as at:
        at(4, 2)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "4/10" in text
    assert "2 refused" in text


def test_no_time_is_no_rate() -> None:
    assert rate(0, 0.0, "scans") == "- scans/s"
