"""The text that Prometheus reads."""

from __future__ import annotations

from web.health.metrics import Metrics


def test_counters_histograms_and_gauges_are_written_as_prometheus_wants() -> None:
    metrics = Metrics()
    metrics.count("a_total", {"code": 'o"k'})
    metrics.count("a_total", {"code": 'o"k'})
    for value in (0.5, 1.0, 3.0):
        metrics.observe("b_seconds", value, (1.0, 2.0))
    metrics.gauge("c", lambda: 2.5)
    assert metrics.text().splitlines() == [
        "# TYPE a_total counter",
        'a_total{code="o\\"k"} 2',
        "# TYPE b_seconds histogram",
        'b_seconds_bucket{le="1"} 2',
        'b_seconds_bucket{le="2"} 2',
        'b_seconds_bucket{le="+Inf"} 3',
        "b_seconds_sum 4.5",
        "b_seconds_count 3",
        "# TYPE c gauge",
        "c 2.5",
    ]
