"""What is printed with colours holds names that others gave: a ``[`` in one must stay a ``[``, and a byte that is no
UTF-8 must not end the command."""

from __future__ import annotations

import ast
import os
import subprocess
from pathlib import Path

import pytest

from archive.store import ROOT

WHOLE = ("escape", "Markdown", "Group")  # calls whose result is printed as it is meant
PRINTERS = ("console.print", "Console().print", "console.status", "table.add_row")


def _is_safe(node: ast.expr) -> bool:
    """Whether rich shows it as it is, beside the markup that stands in our source."""
    if isinstance(node, ast.Constant):
        return True
    if isinstance(node, ast.JoinedStr):
        return all(_is_safe(part.value) if isinstance(part, ast.FormattedValue) else True for part in node.values)
    if isinstance(node, ast.Starred):  # *map(escape, …)
        return ast.unparse(node.value).startswith("map(escape, ")
    if isinstance(node, ast.IfExp):
        return _is_safe(node.body) and _is_safe(node.orelse)
    if isinstance(node, ast.Name):
        return node.id == "table"
    return isinstance(node, ast.Call) and ast.unparse(node.func) in WHOLE


def _unsafe(tree: ast.AST) -> list[str]:
    return [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).split("self._")[-1] in PRINTERS
        and not any(one.arg == "markup" and ast.unparse(one.value) == "False" for one in node.keywords)
        and not all(map(_is_safe, node.args))
    ]


def test_names_are_escaped_wherever_they_are_printed() -> None:
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    sources = [path for room in sorted(rooms) for path in (ROOT / room).rglob("*.py")]
    found = {
        str(path.relative_to(ROOT)): calls
        for path in sources
        if (calls := _unsafe(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert len(sources) > 100
    assert found == {}


@pytest.mark.parametrize(
    ("source", "safe"),
    [
        ("console.print(f'[red]{name}[/]')", False),
        ("console.print(name)", False),
        ("self._console.print(name)", False),
        ("console.print(name, markup=False)", True),
        ("console.print(f'[red]{escape(name)}[/]', highlight=False)", True),
        ("console.print(f'a {escape(x)} of {y}')", False),
        ("table.add_row('a', name)", False),
        ("table.add_row(*map(escape, row))", True),
        ("console.print('[red]stopped[/]')", True),
    ],
)
def test_the_reader_of_calls(source: str, safe: bool) -> None:
    assert (_unsafe(ast.parse(source)) == []) is safe


@pytest.mark.parametrize("name", ["[red]scans[/red]", "[/nothing]", os.fsdecode(b"scans-\xff")])
def test_a_command_shows_a_name_as_it_is(name: str, tmp_path: Path) -> None:
    missing = tmp_path / name
    done = subprocess.run(
        [str(ROOT / "scripts" / "deploy"), "rollback", "--state", str(missing)], capture_output=True, timeout=300,
        check=False, cwd=tmp_path,
    )  # fmt: skip
    said = (done.stdout + done.stderr).replace(b"\n", b"")
    assert b"Traceback" not in said
    assert (name.encode(errors="backslashreplace")) in said
