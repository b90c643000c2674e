"""docs/where.md says where ten things are added: the places are there, and so are the names in them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from archive.store import ROOT

ROW = re.compile(r"^\| (an? [^|]+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)
PLACE = re.compile(r"`(\w+)` in `([^`]+)`")
ASKED = (
    "an input format",
    "a metric",
    "an alert",
    "a route",
    "a command",
    "a loss",
    "a panel of the page",
    "a limit of a rollout",
    "an engine",
    "an option of the client",
)
ROWS = ROW.findall((ROOT / "docs" / "where.md").read_text(encoding="utf-8"))


def names_in(path: Path) -> set[str]:
    """What a Python module defines, or a class in it; the words of any other file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return set(re.findall(r"\w+", text))
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


def test_there_is_a_row_for_each_of_the_ten() -> None:
    assert len(ROWS) == len(ASKED)
    assert all(row[0].startswith(asked) for row, asked in zip(ROWS, ASKED, strict=True))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_what_a_row_names_is_there(row: tuple[str, str, str]) -> None:
    _, opened, lines = row
    paths = re.findall(r"`([^`]+/[^`]*)`", opened + lines)
    assert paths
    missing = [path for path in paths if not (ROOT / path).exists()]
    assert not missing, f"docs/where.md names {missing}, which moved: say where it is now"
    places = PLACE.findall(lines)
    assert places
    lost = [(name, path) for name, path in places if name not in names_in(ROOT / path)]
    assert not lost, f"docs/where.md names {lost}: not defined there"
