"""The text that Prometheus reads, read by Prometheus' own parser."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from web.health.metrics import KIND, Metrics


def samples(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = list(text_string_to_metric_families(text.decode()))
    assert all(family.documentation for family in families)
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for family in families for one in family.samples}


def test_counters_histograms_and_gauges_are_read_as_they_were_written() -> None:
    metrics = Metrics()
    for _ in range(2):
        metrics.count_request("api.segment", 'o"k\n')
    for value in (0.5, 1.0, 3.0):
        metrics.observe_segment(value)
    metrics.gauge("brainseg_front_waiting", "Who waits", lambda: 2.5)
    rows = [({"model_version": "1.0", "role": "live"}, 3.0)]
    metrics.gauges("brainseg_front_since", "Since when", ("model_version", "role"), lambda: rows)
    found = samples(metrics.text())
    assert found["brainseg_front_requests_total", (("code", 'o"k\n'), ("route", "api.segment"))] == 2
    assert found["brainseg_front_segment_seconds_bucket", (("le", "0.5"),)] == 1
    assert found["brainseg_front_segment_seconds_bucket", (("le", "+Inf"),)] == 3
    assert found["brainseg_front_segment_seconds_sum", ()] == 4.5
    assert found["brainseg_front_waiting", ()] == 2.5
    assert found["brainseg_front_since", (("model_version", "1.0"), ("role", "live"))] == 3
    assert found["brainseg_front_retries_total", ()] == 0  # there from the start, so that a rate can be taken
    rows.clear()
    assert not [name for name, _ in samples(metrics.text()) if name == "brainseg_front_since"]
    assert KIND.startswith("text/plain; version=0.0.4")
