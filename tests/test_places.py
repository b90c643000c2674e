"""The folder where one stands is not code, nor is what the environment names: a folder of scans from elsewhere may hold
a ``random.py``."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from archive.programs import environment, python
from archive.store import ROOT
from prove.server import Server
from serving.torchserve import WORKER_START
from tests.serving.test_operations import manage

# What every command imports early, what only some do, our own rooms, and what Python imports by itself.
TRAPS = (
    "random", "argparse", "tomllib", "typer", "rich", "requests", "numpy", "yaml", "psutil", "pip", "venv", "handler",
    "archive", "scripts", "brainseg_client", "sitecustomize", "usercustomize",
)  # fmt: skip
COMMANDS = [path for path in sorted((ROOT / "scripts").iterdir()) if path.is_file() and path.suffix == ""]


@pytest.fixture
def trapped(tmp_path: Path) -> Path:
    """A folder whose modules leave a file where they were imported."""
    packages = tmp_path / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    packages.mkdir(parents=True)
    for place in (tmp_path, packages):
        for name in TRAPS:
            code = f"import pathlib; pathlib.Path({str(tmp_path)!r}, 'imported-{name}').touch()"
            (place / f"{name}.py").write_text(code)
    return tmp_path


def hostile(folder: Path) -> dict[str, str]:
    own = {"PYTHONPATH": str(folder), "PYTHONSTARTUP": str(folder / "random.py"), "PYTHONUSERBASE": str(folder)}
    return {**os.environ, **own, "PYTHONWARNINGS": "ignore::random.Warning", "NO_COLOR": "1"}


def imported(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("imported-*"))


@pytest.mark.parametrize("command", ["predict", "deploy", "token"])
def test_a_command_imports_nothing_from_where_one_stands(command: str, trapped: Path) -> None:
    ended = subprocess.run(
        [str(ROOT / "scripts" / command), "--help"], cwd=trapped, env=hostile(trapped), capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert imported(trapped) == []
    assert ended.returncode == 0, ended.stderr
    assert "usage" in ended.stdout.lower()


def test_all_commands_start_as_these_do() -> None:
    """By ``bootstrap.sh``, which clears the environment, and none by a Python of its own."""
    assert len(COMMANDS) > 10
    for command in COMMANDS:
        lines = command.read_text(encoding="utf-8").splitlines()
        assert any(line.startswith('. "$(dirname "${BASH_SOURCE[0]}")/bootstrap.sh"') for line in lines), command
        assert not [line for line in lines if line.lstrip().startswith("python")], command


def test_nor_does_what_a_command_starts(trapped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in hostile(trapped).items():
        monkeypatch.setenv(name, value)
    code = "import random, typer, subprocess, sys; subprocess.run([sys.executable, '-c', 'import random'], check=True)"
    for ours in (True, False):
        subprocess.run(python("-c", code), cwd=trapped, env=environment(ours), check=True)
    assert imported(trapped) == []


def test_our_rooms_are_on_the_path_where_they_are_meant_to_be(tmp_path: Path) -> None:
    for ours in (True, False):
        tried = subprocess.run(
            python("-c", "import web.app, brainseg_client"), cwd=tmp_path, env=environment(ours), check=False,
            capture_output=True,
        )  # fmt: skip
        assert (tried.returncode == 0) is ours


@pytest.mark.server
def test_torchserve_passes_it_on_to_its_workers(tiny_server: Server) -> None:
    pids = tiny_server.worker_pids()
    assert pids
    for pid in pids:
        variables = psutil.Process(pid).environ()
        assert (variables["PYTHONSAFEPATH"], variables["PYTHONNOUSERSITE"]) == ("1", "1")
        path = [Path(entry) for entry in variables["PYTHONPATH"].split(os.pathsep)]
        # An empty entry would be the worker's folder; the archive unpacked by TorchServe is all there is.
        assert path.count(WORKER_START) == 1
        path.remove(WORKER_START)
        assert all(entry.is_relative_to(tiny_server.state) or "brainseg-" in str(entry) for entry in path if entry.name)
        assert ROOT not in path


@pytest.mark.server
def test_a_worker_that_does_not_run_pytorch_does_not_hold_it(tiny_server: Server) -> None:
    """Half a gigabyte a worker. What it answers with is tested everywhere else. The memory is that of a second worker,
    which has just started: the first one keeps what the requests of other tests left behind."""
    assert [path.name for path in WORKER_START.iterdir() if path.suffix] == ["sitecustomize.py"]
    before = set(tiny_server.worker_pids())
    try:
        assert manage(tiny_server, "PUT", "/brainseg/1.0", min_worker="2", synchronous="true").ok
        new = set(tiny_server.worker_pids()) - before
        assert new
        for pid in before | new:
            mapped = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")
            assert "ncnn" in mapped
            assert "libtorch" not in mapped
        for pid in new:
            assert psutil.Process(pid).memory_info().rss < 350 * 2**20
    finally:
        manage(tiny_server, "PUT", "/brainseg/1.0", min_worker="1", max_worker="1", synchronous="true")


def test_python_is_started_in_one_way_only() -> None:
    """Which is :mod:`archive.programs`. The handler, which imports nothing of ours, and the installed client have their
    own, as safe."""
    handlers = {"handler/volumes/dicom/beside.py", "handler/explain/beside.py"}
    for name in handlers:
        beside = (ROOT / name).read_text(encoding="utf-8")
        assert beside.count("sys.executable") == beside.count('[sys.executable, "-P", "-s", ') == 1
    allowed = {"archive/programs.py", "client/brainseg_client/installed.py", *handlers}
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"} | {"client"}
    sources = [path for room in sorted(rooms) for path in (ROOT / room).rglob("*.py")]
    users = {
        name
        for path in sources
        if (name := path.relative_to(ROOT).as_posix()) not in allowed and "sys.executable" in _names(path)
    }
    assert len(sources) > 100
    assert users == set()


def _names(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
