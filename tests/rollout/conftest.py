"""One packaged release for all tests of rollouts; what else they need is made from it without packaging again."""

from __future__ import annotations

from pathlib import Path

import pytest

from handler.resources import Plan
from scripts.tools import archive, convert
from tests.rollout.stage import ARCHIVE, RELEASE
from tests.tiny import write_tiny_release


@pytest.fixture(scope="session")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the release 1.0 and its archive as ``scripts/package`` makes it."""
    folder = tmp_path_factory.mktemp("packaged")
    assert write_tiny_release(folder).name == RELEASE
    with pytest.MonkeyPatch.context() as patch:
        # So small a network gains nothing by two threads, which on a busy machine wait for each other for minutes.
        for module in (archive, convert):
            patch.setattr(module, "plan", lambda: Plan(1, 1))
        archive.package(folder / RELEASE, folder / ARCHIVE)
    return folder
