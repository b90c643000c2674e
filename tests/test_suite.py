"""The suite's own parts: what marks a test and groups it, what is made once, and what waits."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from archive.store import ROOT
from tests import waiting
from tests.disks import small_disk
from tests.parts import group_of, pytest_collection_modifyitems
from tests.sharing import WORKER, shared_folder

pytest_plugins = ["pytester"]
FILES = {
    "test_light": "def test_a(): pass",
    "test_web": "def test_b(door): pass\ndef test_c(start_front): pass\ndef test_own(): pass",
    "test_page": "def test_d(browser, door): pass",
    "test_rolled": "def test_r(stage): pass",
    "test_train": """
import pytest

def test_e(smoke_run): pass

@pytest.mark.xdist_group("mine")
@pytest.mark.training
def test_f(): pass
""",
}
CONFTEST = """
import pytest
for name in ("server", "tiny_server", "detector", "browser", "smoke_run", "stage"):
    globals()[name] = pytest.fixture(name=name)(lambda: None)

@pytest.fixture
def door(detector): pass

@pytest.fixture
def start_front(detector): pass
"""
HOOKS = "from tests.parts import pytest_collection_modifyitems, pytest_configure_node, pytest_xdist_make_scheduler"
TELLS = """
import os, pytest

@pytest.mark.parametrize("number", range(9))
def test_{name}(number, {fixture}):
    with open("told", "a") as file:
        file.write("{name} " + os.environ["PYTEST_XDIST_WORKER"] + chr(10))
"""


def test_marks_groups_and_order_come_from_the_fixtures(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nmarkers = server: s\n browser: b\n training: t\n xdist_group: g\n slow: s\n")
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(**FILES)
    items, _ = pytester.inline_genitems()
    pytest_collection_modifyitems(pytester.parseconfig(), items)
    found = {
        item.name: ({mark.name for mark in item.iter_markers()} - {"xdist_group"}, group_of(item)) for item in items
    }
    assert found == {
        "test_d": ({"server", "browser"}, "browser"),
        "test_b": ({"server"}, "detector"),
        "test_c": ({"server"}, "detector"),
        "test_r": ({"server"}, "test_rolled.py"),
        "test_e": ({"training"}, "test_train.py"),
        "test_f": ({"training"}, "mine"),
        "test_own": (set(), "test_web.py"),
        "test_a": (set(), "test_light.py"),
    }
    assert [item.name for item in items][:6] == ["test_d", "test_b", "test_c", "test_r", "test_e", "test_f"]


@pytest.mark.slow
def test_a_group_runs_on_one_worker(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nmarkers = server: s\n training: t\n slow: s\n browser: b\n")
    pytester.makeconftest(CONFTEST + HOOKS)
    for name, fixture in (("one", "door"), ("two", "door"), ("three", "tiny_server"), ("four", "tiny_server")):
        pytester.makepyfile(**{f"test_{name}": TELLS.format(name=name, fixture=fixture)})
    pytester.runpytest_subprocess("-n2", "-p", "no:cacheprovider").assert_outcomes(passed=36)
    ran: dict[str, set[str]] = {}
    for line in (pytester.path / "told").read_text().splitlines():
        name, worker = line.split()
        ran.setdefault(name, set()).add(worker)
    assert ran["one"] == ran["two"]
    assert ran["three"] == ran["four"]
    assert ran["one"] | ran["three"] == {"gw0", "gw1"}
    assert {len(workers) for workers in ran.values()} == {1}


def test_a_shared_folder_is_made_once_for_all_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WORKER, "gw0")
    made: list[Path] = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "half").touch()
        if len(made) == 1:
            raise OSError("the first time it fails")
        assert not (folder / "whole").exists()
        (folder / "whole").touch()

    def worker(name: str) -> Path:
        base = tmp_path / name
        base.mkdir(exist_ok=True)
        factory = SimpleNamespace(getbasetemp=lambda: base)
        return shared_folder(factory, "thing", make)  # type: ignore[arg-type]

    with pytest.raises(OSError, match="the first time"):
        worker("gw0")
    got: list[Path] = []
    threads = [threading.Thread(target=lambda n=n: got.append(worker(f"gw{n}"))) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [tmp_path / "shared" / "thing"] * 4
    assert len(made) == 2
    assert sorted(path.name for path in got[0].iterdir()) == ["half", "whole"]


def test_what_is_long_has_its_reason_and_is_in_the_readme() -> None:
    """The reason beside the mark; docs' blocks have theirs in the page (tests/test_docs.py)."""
    tests = Path(__file__).parent
    mark = "mark." + "long"
    long = set()
    for path in sorted(tests.rglob("test_*.py")):
        lines = path.read_text("utf-8").splitlines()
        for number, line in enumerate(lines):
            if mark in line:
                long.add(path.relative_to(tests.parent).as_posix())
                assert "#" in "".join(lines[max(0, number - 2) : number + 2]), f"{path}:{number + 1}: no reason"
    readme = (ROOT / "README.md").read_text("utf-8")
    assert set(re.findall(r"\]\((tests/[^)]*)\)", readme)) == long


def test_a_run_wants_room_and_removes_what_killed_ones_left() -> None:
    with small_disk(1) as disk:
        (disk / "brainseg-run-left").mkdir()
        (disk / "brainseg-run-works").mkdir()
        work = os.open(disk / "brainseg-run-works", os.O_RDONLY)
        fcntl.flock(work, fcntl.LOCK_EX)
        variables = {**os.environ, "TMPDIR": str(disk)}
        done = subprocess.run([ROOT / "scripts" / "test"], env=variables, capture_output=True, text=True, check=False)
        os.close(work)
        assert done.returncode == 1
        assert re.search(rf"{disk} has [01] MiB free; tests need \d+\. Free some of it, or set TMPDIR", done.stderr)
        assert [path.name for path in disk.iterdir()] == ["brainseg-run-works"]


def test_waiting_ends_with_the_event_or_with_words(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([None, [], [1]])
    assert waiting.until(lambda: next(answers), every=0) == [1]
    monkeypatch.setattr(waiting, "BOUND_SECONDS", -1)
    with pytest.raises(AssertionError, match="no frog came within"):
        waiting.until(lambda: time.sleep(0), "no frog came", every=0)
