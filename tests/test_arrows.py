"""Which folder may import which: design.md's arrows, read from the source."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# room -> what of ours it may import beside itself; a newcomer reads here who stands on whom
ALLOWED: dict[str, set[str]] = {
    "progress": set(),
    "settings": set(),
    "exchange": set(),
    "signing": set(),
    "handler": set(),
    "brainseg_client": set(),
    "samples": {"handler"},
    "pacs": {"brainseg_client"},
    "web": {"exchange", "signing"},
    "archive": {"handler", "samples", "progress", "settings", "signing"},
    "bulk": {"archive", "handler", "brainseg_client", "progress"},
    "training": {"handler", "samples", "exchange", "progress", "settings"},
    "rollout": {"archive", "training", "handler", "exchange", "progress", "settings", "signing"},
    "serving": {"rollout", "archive", "handler", "exchange", "settings"},
    "prove": {"serving", "archive", "handler", "samples", "exchange", "brainseg_client", "pacs", "web"},
    "benchmark": {"serving", "bulk", "archive", "handler", "samples", "exchange", "progress"},
}
ALLOWED["scripts"] = set(ALLOWED)
FOLDERS = {"brainseg_client": "client/brainseg_client"}  # where it is not the room's name
TORCHSERVE = "ts"
IN_A_WORKER = "serving/worker/sitecustomize.py"  # runs there, before TorchServe, whose imports it spares


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / FOLDERS.get(folder, folder)).rglob("*.py"))


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


def room_of(path: Path) -> str:
    parts = path.relative_to(ROOT).parts
    return parts[1] if parts[0] == "client" else parts[0]


def of_file(path: Path) -> set[str]:
    return imported(ast.parse(path.read_text(encoding="utf-8")), room_of(path))


@pytest.mark.parametrize("room", list(ALLOWED))
def test_arrows(room: str) -> None:
    forbidden = ({*ALLOWED, "tests", TORCHSERVE, "client"} - ALLOWED[room]) - {room}
    if room == "handler":
        forbidden -= {TORCHSERVE}  # its one class knows it, see below
    if room == "web":
        forbidden |= {"torch"}
    wrong = {
        str(path.relative_to(ROOT)): sorted(found) for path in sources(room) if (found := of_file(path) & forbidden)
    }
    assert wrong == ({IN_A_WORKER: [TORCHSERVE]} if room == "serving" else {})


def test_every_room_is_in_the_table() -> None:
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert rooms <= set(ALLOWED)


def test_the_table_has_no_circle() -> None:
    graphlib.TopologicalSorter({room: below - {room} for room, below in ALLOWED.items()}).prepare()


@pytest.mark.parametrize("room", list(ALLOWED))
def test_each_room_says_what_it_is_for(room: str) -> None:
    text = (ROOT / FOLDERS.get(room, room) / "__init__.py").read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text))


@pytest.mark.parametrize("folder", ["handler", "training", "samples", "scripts", "rollout", "serving"])
def test_the_rules_look_at_something(folder: str) -> None:
    assert len(sources(folder)) >= 2
    assert any(of_file(path) for path in sources(folder))


def test_only_the_service_knows_torchserve() -> None:
    assert [path.name for path in sources("handler") if "ts" in of_file(path)] == ["service.py"]


def test_only_the_network_and_its_neighbours_need_torch() -> None:
    users = {path.relative_to(ROOT / "handler").as_posix() for path in sources("handler") if "torch" in of_file(path)}
    assert users == {
        "classifier.py",
        "engines/torch_engine.py",
        "network.py",
        "volumetric.py",
        "explain/gradcam.py",
        "explain/tumour.py",
        "explain/work.py",
    }


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import training.fit.run", {"training"}),
        ("def f():\n    from web.app import app", {"web"}),
        ("from . import card", {"handler"}),
        ("import importlib\nimportlib.import_module('ts.context')", {"importlib", "ts"}),
        ("'import web'", set()),
    ],
)
def test_the_reader_of_imports(source: str, names: set[str]) -> None:
    assert imported(ast.parse(source), "handler") == names


@pytest.mark.parametrize(
    "module",
    [
        "scripts.commands.serve",
        "scripts.commands.deploy",
        "scripts.commands.token",
        "brainseg_client.command",
        "web.app",
        "handler.pipeline",
        "scripts.commands.inspect_data",
    ],
)
def test_what_runs_beside_the_server_holds_no_torch(module: str) -> None:
    """Half a gigabyte in memory, and seconds of every start: packaging needs it, in a process of its own."""
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_what_does_not_train_does_not_wait_for_lightning() -> None:
    """Four seconds, and as much of every start."""
    code = "import sys, scripts.commands.evaluate, scripts.commands.release; sys.exit('lightning' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
