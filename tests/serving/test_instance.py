"""A state folder belongs to one running server; other people's folders are left alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from archive.store import ROOT
from rollout.errors import NoServerError
from rollout.folder import MARK, check_state, is_state
from serving.instance import LOCK_FILE, StateError, owned

HOLD = """
import sys, time
from pathlib import Path
from serving.instance import owned
with owned(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_folder_is_made_and_closed_to_others(tmp_path: Path) -> None:
    state = tmp_path / "deep" / "state"
    with owned(state):
        assert state.stat().st_mode & 0o077 == 0
    with owned(state):  # what an earlier server left is no obstacle
        pass


def test_somebody_elses_folder_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp" / "thesis.txt").write_text("mine")
    tmp_path.chmod(0o755)
    with pytest.raises(StateError, match="it holds tmp"), owned(tmp_path):
        pytest.fail("taken")
    assert tmp_path.stat().st_mode & 0o777 == 0o755
    assert [path.name for path in tmp_path.rglob("*")] == ["tmp", "thesis.txt"]


def test_an_empty_volume_and_folders_of_ours_are_taken(tmp_path: Path) -> None:
    (tmp_path / "volume" / "lost+found").mkdir(parents=True)
    with owned(tmp_path / "before"):
        (tmp_path / "before" / "logs").mkdir(parents=True)
    (tmp_path / "before" / "notes.txt").write_text("why we rolled back")
    (tmp_path / "older" / "logs").mkdir(parents=True)
    for name in (LOCK_FILE, "config.properties", "deployment.json"):
        (tmp_path / "older" / name).write_text("of a build before the mark")
    for name in ("volume", "before", "older"):
        with owned(tmp_path / name):
            assert (tmp_path / name / LOCK_FILE).is_file()
            assert (tmp_path / name / MARK).is_file()
            assert (tmp_path / name).stat().st_mode & 0o077 == 0
    assert (tmp_path / "before" / "notes.txt").read_text() == "why we rolled back"


@pytest.mark.parametrize("name", ["logs", "config.properties", "key_file.json", LOCK_FILE])
def test_a_folder_with_names_like_ours_is_somebody_elses(name: str, tmp_path: Path) -> None:
    """A checkout of ours, say: it has a config.properties of its own. Looked at before anything is touched."""
    folder = tmp_path / "checkout"
    folder.mkdir(mode=0o755)
    for one in (name, "README.md"):
        (folder / one).write_text("mine")
    with pytest.raises(StateError, match=r"README\.md"), owned(folder):
        pytest.fail("taken")
    assert folder.stat().st_mode & 0o777 == 0o755
    assert {path.name: path.read_text() for path in folder.iterdir()} == {name: "mine", "README.md": "mine"}
    with pytest.raises(NoServerError, match="no state folder"):
        check_state(folder)


def test_a_mark_that_is_a_link_is_none(tmp_path: Path) -> None:
    (tmp_path / "else").write_text("")
    (tmp_path / MARK).symlink_to(tmp_path / "else")
    assert not is_state(tmp_path)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StateError, match="give another one with --state"), owned(place):
            pytest.fail("taken")


def test_a_second_server_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    first = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        with pytest.raises(StateError, match=f"process {first.pid} serves from {tmp_path}"), owned(tmp_path):
            pytest.fail("both have it")
    finally:
        first.kill()
        first.communicate()
    with owned(tmp_path):
        pass
