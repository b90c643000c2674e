"""docs/security.md names for each door a test that would fail without what holds it: each of them is there."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from archive.store import ROOT

PAGE = ROOT / "docs" / "security.md"
NAME = re.compile(r"`(tests/[\w/.]+\.py|…)(?:::(\w+))?`")
ELSEWHERE = re.compile(r"`(docs/[\w.]+)`, \"([^\"]+)\"")
BY_HAND = "by hand, "
UNSPLIT = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True)
class Row:
    door: str
    shown: str


def rows(text: str) -> list[Row]:
    """The rows of all tables of four columns, without their heads."""
    cells = [
        [cell.strip() for cell in UNSPLIT.split(line)[1:-1]] for line in text.splitlines() if line.startswith("| ")
    ]
    return [Row(one[0], one[3]) for one in cells if len(one) == 4 and one[0] != "door"]


def faults(text: str, root: Path = ROOT) -> list[str]:
    """What is wrong in the table, by door. ``…`` stands for the file that was named last."""
    found, last = [], ""
    for row in rows(text):
        names = NAME.findall(row.shown)
        for file, test in names:
            last = last if file == "…" else file
            if not last or not (root / last).is_file():
                found.append(f"{row.door}: there is no {last or file}")
            elif test and test not in names_in(root / last):
                found.append(f"{row.door}: {last} has no {test}")
        for page, heading in ELSEWHERE.findall(row.shown):
            if f"# {heading}\n" not in (root / page).read_text("utf-8"):
                found.append(f"{row.door}: {page} has no part {heading!r}")
        if not (names or ELSEWHERE.search(row.shown) or row.shown.startswith(BY_HAND)):
            found.append(f"{row.door}: no test is named")
    return found


def names_in(file: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.FunctionDef)}


def test_each_door_names_tests_that_are_there() -> None:
    text = PAGE.read_text("utf-8")
    assert len(rows(text)) > 60
    assert faults(text) == []
    assert sum(row.shown.startswith(BY_HAND) for row in rows(text)) <= 1


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        ("`tests/test_doors.py`, `…::test_each_door_names_tests_that_are_there`", []),
        ("`tests/test_gone_away.py`", ["a door: there is no tests/test_gone_away.py"]),
        ("`tests/test_doors.py::test_other`", ["a door: tests/test_doors.py has no test_other"]),
        ("`…::test_other`", ["a door: there is no …"]),
        ('measured: `docs/security.md`, "Sizes"', ["a door: docs/security.md has no part 'Sizes'"]),
        ("it was looked at", ["a door: no test is named"]),
    ],
)
def test_what_is_not_there_is_found(shown: str, said: list[str]) -> None:
    assert faults(f"| door | tried | holds | test |\n|---|---|---|---|\n| a door | – | – | {shown} |\n") == said
