"""The text that Prometheus reads, read by Prometheus' own parser."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from web.contract.fields import HTTP_PROBLEMS, PROBLEMS, REASONS
from web.health.metrics import KIND, Metrics, build_version


def samples(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = list(text_string_to_metric_families(text.decode()))
    assert all(family.documentation for family in families)
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for family in families for one in family.samples}


def test_counters_histograms_and_gauges_are_read_as_they_were_written() -> None:
    metrics = Metrics()
    for _ in range(2):
        metrics.count_request("api.segment", 'o"k\n')
    for value in (0.5, 1.0, 3.0):
        metrics.observe_segment(value, "1.0")
    metrics.gauge("brainseg_front_waiting", "Who waits", lambda: 2.5)
    rows = [({"model_version": "1.0", "role": "live"}, 3.0)]
    metrics.gauges("brainseg_front_since", "Since when", ("model_version", "role"), lambda: rows)
    found = samples(metrics.text())
    assert found["brainseg_front_requests_total", (("code", 'o"k\n'), ("route", "api.segment"))] == 2
    assert found["brainseg_front_segment_seconds_bucket", (("le", "0.5"), ("model_version", "1.0"))] == 1
    assert found["brainseg_front_segment_seconds_bucket", (("le", "+Inf"), ("model_version", "1.0"))] == 3
    assert found["brainseg_front_segment_seconds_sum", (("model_version", "1.0"),)] == 4.5
    assert found["brainseg_front_waiting", ()] == 2.5
    assert found["brainseg_front_since", (("model_version", "1.0"), ("role", "live"))] == 3
    assert found["brainseg_front_retries_total", ()] == 0
    metrics.count_answer("2.0", "ok")
    counted = samples(metrics.text())
    assert counted["brainseg_front_segmentations_total", (("code", "ok"), ("model_version", "2.0"))] == 1
    rows.clear()
    assert not [name for name, _ in samples(metrics.text()) if name == "brainseg_front_since"]
    assert KIND.startswith("text/plain; version=0.0.4")


def test_counters_are_there_before_their_first_event() -> None:
    """Prometheus' ``increase()`` sees no event in a series that begins with it."""
    metrics = Metrics()
    metrics.begin("2.0")
    found = samples(metrics.text())
    for code in ("ok", *PROBLEMS):
        for route in ("api.segment", "explain.explain", "types.classify"):
            assert found["brainseg_front_requests_total", (("code", code), ("route", route))] == 0
    for code in HTTP_PROBLEMS:
        assert found["brainseg_front_requests_total", (("code", code), ("route", "door"))] == 0
    for reason in REASONS:
        assert found["brainseg_front_refused_total", (("model_version", "2.0"), ("reason", reason))] == 0
    assert found["brainseg_front_segment_seconds_count", (("model_version", "2.0"),)] == 0
    assert found["brainseg_front_closed_total", (("why", "unread"),)] == 0


def test_build_and_process_are_shown() -> None:
    found = samples(Metrics().text())
    builds = [dict(labels) for name, labels in found if name == "brainseg_front_build_info"]
    assert [build["version"] for build in builds] == [build_version()]
    assert build_version()[0].isdigit()
    assert found["process_resident_memory_bytes", ()] > 1e6
