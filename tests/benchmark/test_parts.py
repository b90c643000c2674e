"""The benchmark's arithmetic; its engines and servers run in test_run.py."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from benchmark import report as reports
from benchmark.engines import EAGER, OURS, OURS_CROPPED, EngineResult
from benchmark.load import Load, LoadResult, Shot, percentile, run_load, summarise
from benchmark.waiting import default_waiting


@pytest.mark.parametrize(("share", "expected"), [(0.5, 2.0), (0.95, 4.0), (0.25, 1.0), (1.0, 4.0)])
def test_percentiles_are_values_that_were_measured(share: float, expected: float) -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], share) == expected


def test_failed_requests_are_counted_and_in_no_other_figure() -> None:
    turns = iter([None, 0.1, None, 0.3])

    def send() -> Shot:
        seconds = next(turns)
        if seconds is None:
            raise RuntimeError("503")
        return Shot(seconds, seconds / 2, seconds / 10)

    load = run_load(send, 1, 4)
    assert (len(load.shots), load.errors) == (2, 2)
    found = summarise(1, [load, Load((Shot(0.2),), 0, 1.0)])
    assert (found.requests, found.errors, found.p50) == (5, 2, 0.2)
    assert found.outside_forward_p50 == pytest.approx(0.1)
    assert found.pictures_p50 == pytest.approx(0.02)
    assert found.per_second == pytest.approx(3 / (1.0 + load.seconds))


def test_clients_send_at_the_same_time() -> None:
    all_at_once = threading.Barrier(4)

    def send() -> Shot:
        all_at_once.wait(120)  # one after the other, the first would wait in vain
        return Shot(0.2)

    load = run_load(send, 4, 4)
    assert (len(load.shots), load.errors) == (4, 0)


def test_a_server_that_answers_nothing_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="all of 3 requests failed"):
        summarise(1, [Load((), 3, 1.0)])


def test_peers_wait_as_they_are_used_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    with default_waiting():
        assert "OMP_WAIT_POLICY" not in os.environ
    with default_waiting(False):
        assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"


def _load(clients: int, p50: float, outside: float | None) -> LoadResult:
    return LoadResult(clients, 10, 0, p50, p50, p50, clients / p50, outside, outside and outside / 4)


def test_the_report_says_the_ratios(tmp_path: Path) -> None:
    engines = [
        EngineResult(version, name, seconds / factor, ratio, 1.0)
        for version, factor in (("1.0", 1.0), ("2.0", 4.0))
        for name, seconds, ratio in ((EAGER, 0.4, 1.0), (OURS, 0.1, 4.0), (OURS_CROPPED, 0.08, 5.0))
    ]
    servers = [
        reports.ServerResult(name, tuple(_load(c, p50, outside) for c in reports.CLIENTS), 700.0, None)
        for name, p50, outside in (
            ("BrainSeg 1.0", 0.1, 0.012),
            ("BrainSeg 2.0", 0.05, 0.011),
            (f"{reports.FLASK} (1.0)", 1.0, None),
        )
    ]
    reports.write(reports.Report({"cores": 2}, tuple(engines), tuple(servers)), tmp_path)
    text = (tmp_path / "benchmark.md").read_text()
    assert "| forward pass, the release's engine against PyTorch eager NCHW | 4.0x | 4.0x |" in text
    assert "| one request, p50, against Flask | 10.0x | 20.0x |" in text
    assert "| outside the forward pass, ms, 1 client | 12 | 11 |" in text
    assert "| of these for mask and overlay | 3.0 | 2.8 |" in text
    assert "| forward pass, the release's engine, whole slice, against 1.0 | 1.0x | 4.0x |" in text
    assert json.loads((tmp_path / "benchmark.json").read_text())["machine"] == {"cores": 2}
    assert (tmp_path / "benchmark.png").stat().st_size > 1000
