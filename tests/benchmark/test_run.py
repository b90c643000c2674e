"""``scripts/benchmark`` from end to end: its engines, servers and peers really start, answer and end."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import psutil
import pytest
import typer

from benchmark import __main__ as benchmark
from benchmark import report as reports
from benchmark.engines import EAGER, EAGER_LAST, OURS, OURS_CROPPED

pytestmark = pytest.mark.server


def _programs() -> set[int]:
    """What was started and still runs, but for multiprocessing's tracker, which ends with this process."""
    found = set()
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # others come and go
            if child.cmdline() and not any("resource_tracker" in word for word in child.cmdline()):
                found.add(child.pid)
    return found


# Three servers, of which Flask's takes half a second a request: a minute and a half. Two are up in test_against.py.
@pytest.mark.long
def test_the_whole_run_measures_everything_and_leaves_nothing_running(
    tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The Flask peer takes half a second a request.
    monkeypatch.setattr(reports, "CLIENTS", (1, 4))
    monkeypatch.setattr(benchmark, "WARM_UP", 1)
    monkeypatch.setattr(benchmark, "TURNS", 1)
    before = _programs()
    benchmark.main(tmp_path / "out", rounds=1, requests_each=3, model_store=tiny_store)
    report = json.loads((tmp_path / "out" / "benchmark.json").read_text())
    engines = {engine["name"]: engine for engine in report["engines"]}
    assert list(engines) == [EAGER, EAGER_LAST, OURS, OURS_CROPPED]
    assert all(engine["seconds"] > 0 for engine in engines.values())
    assert engines[EAGER]["ratio"] == 1.0
    assert engines[OURS]["ratio"] == pytest.approx(engines[EAGER]["seconds"] / engines[OURS]["seconds"])
    assert engines[OURS_CROPPED]["share"] == 1.0  # its card allows no crop
    servers = {server["name"]: server for server in report["servers"]}
    ours = ["BrainSeg 1.0"]
    assert list(servers) == [*ours, "stock handler, eager (1.0)", "Flask and matplotlib (1.0)"]
    for name, server in servers.items():
        assert [load["clients"] for load in server["loads"]] == [1, 4]
        assert all(load["requests"] >= 3 for load in server["loads"])
        # The Flask peer is as published, with figures of matplotlib in several threads, which may fail.
        most = server["loads"][-1]["requests"] - 1 if name.startswith("Flask") else 0
        assert all(load["errors"] <= most for load in server["loads"])
        assert server["worker_memory_mb"] > 100
        assert (server["stack_seconds"] is not None) == (name in ours)  # the peers take no stacks
    assert "| one request, p50, against Flask |" in (tmp_path / "out" / "benchmark.md").read_text()
    assert _programs() == before


def test_a_store_without_releases_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match="no release in"):
        benchmark.main(tmp_path / "out", model_store=tmp_path)
    assert not (tmp_path / "out").exists()
