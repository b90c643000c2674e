"""Which folder may import which: design.md's arrows, read from the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = ("handler", "training", "web", "scripts", "samples", "tests")
# folder -> what it must never import
FORBIDDEN = {
    "handler": {"training", "web", "scripts", "samples", "tests"},
    "training": {"web", "scripts", "tests", "ts"},
    "web": {"handler", "training", "scripts", "tests", "ts", "torch"},
    "samples": {"training", "web", "scripts", "tests", "ts"},
    "scripts": {"tests", "ts"},
}


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imported(tree: ast.AST, package: str) -> set[str]:
    """The top-level names that a module of ``package`` imports, anywhere in it, also by name at run time."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0] if node.level == 0 else package)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
            names |= {str(a.value).split(".")[0] for a in node.args if isinstance(a, ast.Constant)}
    return names


def of_file(path: Path) -> set[str]:
    return imported(ast.parse(path.read_text(encoding="utf-8")), path.relative_to(ROOT).parts[0])


@pytest.mark.parametrize("folder", list(FORBIDDEN))
def test_arrows(folder: str) -> None:
    wrong = {
        str(path.relative_to(ROOT)): sorted(found)
        for path in sources(folder)
        if (found := of_file(path) & FORBIDDEN[folder])
    }
    assert wrong == {}


@pytest.mark.parametrize("folder", ["handler", "training", "samples", "scripts"])
def test_the_rules_look_at_something(folder: str) -> None:
    assert len(sources(folder)) >= 2
    assert any(of_file(path) for path in sources(folder))


def test_only_the_service_knows_torchserve() -> None:
    assert [path.name for path in sources("handler") if "ts" in of_file(path)] == ["service.py"]


def test_only_the_network_and_its_neighbours_need_torch() -> None:
    users = {path.relative_to(ROOT / "handler").as_posix() for path in sources("handler") if "torch" in of_file(path)}
    assert users <= {"engines/torch_engine.py", "measure.py", "network.py", "preprocess.py"}


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import training.run", {"training"}),
        ("def f():\n    from web.app import app", {"web"}),
        ("from . import card", {"handler"}),
        ("import importlib\nimportlib.import_module('ts.context')", {"importlib", "ts"}),
        ("'import web'", set()),
    ],
)
def test_the_reader_of_imports(source: str, names: set[str]) -> None:
    assert imported(ast.parse(source), "handler") == names


@pytest.mark.parametrize("tool", ["serve", "deploy", "token", "predict", "batch"])
def test_what_runs_beside_the_server_holds_no_torch(tool: str) -> None:
    """Half a gigabyte in memory, and seconds of every start: packaging needs it, in a process of its own."""
    code = f"import sys, scripts.tools.{tool}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
