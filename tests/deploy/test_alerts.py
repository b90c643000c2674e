"""The alerts by Prometheus' own tool, which simulates the time; and that each has its page in the runbook."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import requests
import yaml

from archive.store import ROOT
from tests.deploy.prometheus import RULES, alerts, panel_queries, rules, selectors, shortened, tool
from tests.waiting import until
from tests.web.inside import opened
from tests.web.standin import Stage, standing_in
from web.settings import Settings

TESTS = Path(__file__).with_name("alerts.yml")


def promtool(*arguments: str | Path, typed: str | None = None) -> str:
    done = subprocess.run(
        [tool("promtool"), *map(str, arguments)], cwd=TESTS.parent, input=typed, capture_output=True, text=True,
        timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_rules_are_some_that_prometheus_takes(tmp_path: Path) -> None:
    short = tmp_path / "short.yml"
    short.write_text(shortened(RULES.read_text()))
    for path in (RULES, short):
        assert f"SUCCESS: {len(rules())} rules found" in promtool("check", "rules", path)
    promtool("check", "config", "--syntax-only", ROOT / "deploy" / "prometheus" / "prometheus.yml")


def test_windows_are_shortened_and_thresholds_are_not() -> None:
    assert (
        shortened("rate(x[5m]) > 14.4 * 0.005\n  for: 1h\nx_1h")
        == "rate(x[5000ms]) > 14.4 * 0.005\n  for: 60000ms\nx_1h"
    )


@pytest.mark.slow
def test_each_alert_fires_and_clears() -> None:
    promtool("test", "rules", TESTS)


def test_no_alert_is_left_untested() -> None:
    """What promtool does not say: a test of an alert that does not exist passes, as long as it expects nothing."""
    fires: dict[str, list[float]] = {}
    silent: dict[str, list[float]] = {}
    told = yaml.safe_load(TESTS.read_text())
    assert [(TESTS.parent / path).resolve() for path in told["rule_files"]] == [RULES]
    for one in told["tests"]:
        for asked in one["alert_rule_test"]:
            number, unit = re.fullmatch(r"(\d+)([mh])", asked["eval_time"]).groups()  # type: ignore[union-attr]
            minutes = int(number) * {"m": 1, "h": 60}[unit]
            (fires if asked["exp_alerts"] else silent).setdefault(asked["alertname"], []).append(minutes)
    assert set(fires) == set(silent) == set(alerts())
    for name, times in fires.items():
        assert max(silent[name]) > min(times), f"{name} never clears"


def test_each_alert_has_a_page_in_the_runbook() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    for name, rule in alerts().items():
        assert rule["annotations"]["runbook_url"] == f"docs/operations.md#{name.lower()}"
        assert rule["labels"]["severity"] in ("page", "ticket")
    assert re.findall(r"^### (BrainSeg\w+)$", page, re.MULTILINE) == list(alerts())


def test_what_is_selected_is_read_off_an_expression() -> None:
    found = selectors('sum by (job) (rate(brainseg_x{code="a|b"}[5m])) / brainseg:y:rate1h > 2 and on (up) up == 0')
    assert found == {'brainseg_x{code="a|b"}', "brainseg:y:rate1h", "up"}
    assert all(
        selectors(query)
        for query in [*panel_queries().values(), *(r["expr"] for r in rules())]
        if "ALERTS" not in query
    )


def test_what_the_front_door_shows_is_as_prometheus_wants_it(tmp_path: Path) -> None:
    with standing_in(Stage()) as stage, opened(Settings(stage.url, stage.url, deployment=tmp_path / "d.json")) as door:
        until(lambda: requests.get(f"{door.url}/readyz", timeout=60).ok, "the probe was answered")
        text = requests.get(f"{door.url}/metrics", timeout=60).text
        assert door.metric('brainseg_front_worker_restarts_total{model_version="1.0"}') == 0
        assert 'brainseg_front_worker_restarts_total{model_version="1.0"} 0.0' in text
        stage.pid += 1
        until(
            lambda: door.metric('brainseg_front_worker_restarts_total{model_version="1.0"}') == 1, "a restart is seen"
        )
    assert float(re.search(r'^brainseg_front_disk_free_bytes{folder="state"} (\S+)$', text, re.MULTILINE)[1]) > 1e6  # type: ignore[index]
    for kind in ("inference", "management"):
        assert f'brainseg_front_token_expires_seconds{{kind="{kind}"}} 0.0' in text
    promtool("check", "metrics", typed=text)
