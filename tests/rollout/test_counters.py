"""Figures from TorchServe's metrics."""

from __future__ import annotations

import math

import pytest

from rollout.counters import Counters, read_counters
from rollout.latency import Times

TEXT = """\
# TYPE ts_inference_requests_total counter
ts_inference_requests_total{model_name="brainseg",model_version="2.0",hostname="vm",} 50.0
ts_inference_requests_total{model_name="brainseg",model_version="1.0",hostname="vm",} 400.0
brainseg_requests{model_version="2.0",code="ok",Hostname="vm",} 40.0
brainseg_requests{model_version="2.0",code="corrupt_image",Hostname="vm",} 3.0
brainseg_requests{model_version="2.0",code="internal_error",Hostname="vm",} 4.0
brainseg_stage_seconds_bucket{model_version="2.0",stage="total",Hostname="vm",le="0.1",} 20.0
brainseg_stage_seconds_bucket{model_version="2.0",stage="total",Hostname="vm",le="0.25",} 40.0
brainseg_stage_seconds_bucket{model_version="2.0",stage="total",Hostname="vm",le="+Inf",} 40.0
brainseg_stage_seconds_bucket{model_version="2.0",stage="decode",Hostname="vm",le="0.1",} 47.0
"""


def test_counts_are_of_one_version() -> None:
    counters = read_counters(TEXT, "2.0")
    assert (counters.arrived, counters.answered, counters.faults) == (50, 47, 4)
    assert read_counters(TEXT, "3.0") == Counters(0, 0, 0, {})


def test_requests_without_a_version_count_for_the_live_one() -> None:
    text = TEXT + 'ts_inference_requests_total{model_name="brainseg",model_version="default",hostname="vm",} 600.0\n'
    assert read_counters(text, "2.0").arrived == 50
    assert read_counters(text, "2.0", live=True).arrived == 650


def test_failed_are_faults_and_the_lost_but_not_those_under_way_nor_the_clients_own() -> None:
    counters = read_counters(TEXT, "2.0")
    assert counters.failed(waiting=0) == 7
    assert counters.failed(waiting=2) == 5
    assert counters.failed(waiting=30) == 4


def test_p95_is_interpolated() -> None:
    counters = read_counters(TEXT, "2.0")
    assert counters.p95() == pytest.approx(0.1 + 0.15 * 18 / 20)
    assert Counters(0, 0, 0, {}).p95() is None
    assert Counters(9, 9, 0, {10.0: 1.0, math.inf: 9.0}).p95() == 10.0


def test_since_takes_the_difference() -> None:
    later = read_counters(TEXT.replace(" 50.0", " 60.0").replace('le="0.25",} 40.0', 'le="0.25",} 44.0'), "2.0")
    new = later.since(read_counters(TEXT, "2.0"))
    assert (new.arrived, new.answered) == (10, 0)
    assert new.buckets[0.25] == 4


def test_a_candidate_cannot_hide_time_from_its_own_clock() -> None:
    times = Times([0.1, 0.1], [0.12, 0.9])
    assert times.counted(0.1) == pytest.approx([0.1, 0.8])
