"""A version's bytes never change, our own included: a changed release gets a new number."""

from __future__ import annotations

import subprocess

import pytest

from archive.inputs import release_files
from archive.store import MODEL_STORE, MODELS, ROOT, release_folder, released_versions
from handler.card import CARD_FILE, read_card
from handler.files import sha256_of

RECORD = MODEL_STORE / "released.sha256"


def parsed(text: str) -> dict[str, str]:
    return {name: digest for digest, name in (line.split("  ", 1) for line in text.splitlines())}


def test_the_releases_are_those_that_were_recorded() -> None:
    """After releasing a new number: its lines go into released.sha256 (docs/operations.md)."""
    found = {}
    every = [release_folder(version, model=model) for model in MODELS for version in released_versions(model=model)]
    for folder in every:
        for path in [folder / CARD_FILE, *release_files(folder, read_card(folder))]:
            found[path.relative_to(MODEL_STORE).as_posix()] = sha256_of(path).removeprefix("sha256:")
    assert parsed(RECORD.read_text()) == found


def test_no_line_of_an_earlier_commit_has_changed() -> None:
    def git(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False)

    name = RECORD.relative_to(ROOT).as_posix()
    commits = git("log", "--format=%H", "--", name)
    if commits.returncode or not commits.stdout.strip():
        pytest.skip("no history here to compare with")
    now = parsed(RECORD.read_text())
    for commit in commits.stdout.split():
        before = parsed(git("show", f"{commit}:{name}").stdout)
        assert {one: now.get(one) for one in before} == before, f"changed since {commit}: give it a new number"
