"""Temporary folders: short enough for a Unix socket, and none left of a server that runs no more."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import psutil
import pytest

from serving import temporary
from serving.instance import owned
from serving.running import Running
from serving.temporary import INSIDE, OWNER_FILE, temporary_folder
from serving.torchserve import make_places


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this machine's temporary folders go."""
    folder = tmp_path / "system"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """A state folder with a path too long for a socket's."""
    folder = tmp_path / ("deep" * 25)
    folder.mkdir()
    return folder


def aged(folder: Path) -> Path:
    os.utime(folder, (0, 0))
    return folder


def test_it_is_in_the_state_folder_where_a_socket_fits(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(temporary, "SOCKET_PATH_LIMIT", len(str(system)) + 40)
    (system / INSIDE).mkdir()
    (system / INSIDE / "left").touch()
    assert temporary_folder(system) == system / INSIDE
    assert list((system / INSIDE).iterdir()) == []


def test_one_of_a_long_path_is_elsewhere_and_goes_with_its_server(system: Path, deep: Path) -> None:
    places = make_places(deep, deep)
    assert places.temporary.parent == system
    assert places.temporary.stat().st_mode & 0o077 == 0
    Running(places).stop()  # nothing was started yet
    assert list(system.iterdir()) == []


def test_a_start_removes_what_a_killed_one_has_left(system: Path, deep: Path) -> None:
    first = temporary_folder(deep)
    second = temporary_folder(deep)
    assert list(system.iterdir()) == [second] != [first]


def test_only_folders_of_servers_that_run_no_more_are_removed(
    system: Path, deep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = aged(temporary_folder(deep))
    (system / "brainseg-serve-foreign").mkdir()
    young, owner = system / "brainseg-serve-young", tmp_path / "another"
    young.mkdir()
    (young / OWNER_FILE).write_text(str(owner))
    with owned(deep):
        assert temporary.sweep(owner / "else") == []
    monkeypatch.setattr(temporary, "parts_of", lambda state: [psutil.Process()] if state == deep else [])
    assert temporary.sweep(owner / "else") == []
    monkeypatch.undo()
    monkeypatch.setattr(tempfile, "tempdir", str(system))
    assert temporary.sweep(owner / "else") == [left]
    assert {folder.name for folder in system.iterdir()} == {"brainseg-serve-foreign", "brainseg-serve-young"}
