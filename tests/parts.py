"""Which part of the suite a test belongs to, and with which others it stays together on one worker: read off
the fixtures it asks for.

A test that asks for a server, a browser or a trained network is marked ``server``, ``browser`` or ``training`` by that
alone; one that starts such a thing by itself says so with the marker. All tests of one shared server run on one worker,
one after the other: none can disturb another's counts, and the server starts once. All others go by file.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

MARKS = {
    "server": "server",
    "tiny_server": "server",
    "detector": "server",
    "stage": "server",
    "browser": "browser",
    "smoke_run": "training",
    "packaged": "slow",
    "labelled_archive": "slow",
    "detector_store": "slow",
}
# The groups that take longest begin first, or the end would wait for one of them alone; rollouts wait more than they
# work, so that others work beside them. A group is named after the fixture its tests share.
GROUPS = ("browser", "detector", "stage", "tiny_server", "server", "smoke_run")
BY_FILE = ("stage", "smoke_run")  # each file has its own; a folder that all workers read
# Workers write the groups down here for the process that deals the tests out, which collects none itself. What xdist
# has for it, "--dist loadgroup", groups nothing under pytest 9.2: it renames tests by a field that is gone.
_PLACE = Path(tempfile.gettempdir()) / f"brainseg-groups-{os.getpid()}.json"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Adds the markers and puts long groups first."""
    for item in items:
        for name in _fixtures(item):
            if name in MARKS:
                item.add_marker(MARKS[name])
    items.sort(key=_rank)  # stable: the order within a file stays
    if told := getattr(config, "workerinput", {}).get("groups"):
        place = Path(told)
        partial = place.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps({item.nodeid: group_of(item) for item in items}), encoding="utf-8")
        partial.rename(place)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tells a worker that begins where to write the groups."""
    node.workerinput["groups"] = str(_PLACE)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """The groups are dealt out in the order of collection."""
    config.option.loadscopereorder = False
    return ByGroup(config, log)


def group_of(item: pytest.Item) -> str:
    """Tests with one name stay together: what the marker ``xdist_group`` says, the server they share, else their
    file."""
    if marker := item.get_closest_marker("xdist_group"):
        return str(marker.args[0])
    shared = [name for name in GROUPS if name in _fixtures(item) and name not in BY_FILE]
    return shared[0] if shared else item.nodeid.partition("::")[0]


class ByGroup(LoadScopeScheduling):  # type: ignore[misc]
    """Deals out whole groups."""

    _groups: dict[str, str] | None = None

    def _split_scope(self, nodeid: str) -> str:
        if self._groups is None:
            self._groups = json.loads(_PLACE.read_text(encoding="utf-8"))
            _PLACE.unlink()
        return self._groups[nodeid]


def _fixtures(item: pytest.Item) -> Iterable[str]:
    return getattr(item, "fixturenames", ())


def _rank(item: pytest.Item) -> int:
    ranks = [number for number, name in enumerate(GROUPS) if name in _fixtures(item)]
    if ranks:
        return ranks[0]
    own = any(item.get_closest_marker(name) for name in ("server", "browser", "training", "slow"))
    return len(GROUPS) if own else len(GROUPS) + 1
