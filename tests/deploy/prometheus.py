"""A real Prometheus for tests, and what the files in deploy/ ask it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from archive.store import ROOT
from serving.ports import free_port
from tests.waiting import until

RULES = ROOT / "deploy" / "prometheus" / "brainseg.rules.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "brainseg.json"
SHORTER = 60  # an hour is a minute
MILLISECONDS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
SELECTOR = re.compile(r"\b(?:brainseg[\w:]*|ts_\w+|process_\w+|up)\b(?:\{[^}]*\})?")


def tool(name: str) -> str:
    """The path of ``promtool`` or ``prometheus``; skips where Debian's package is not there."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not here: Debian's package prometheus has it")
    return found


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def panel_queries() -> dict[str, str]:
    """The queries of the dashboard, for the job ``brainseg``."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    targets = [(panel, target) for panel in panels for target in panel.get("targets", ())]
    return {f"{p['title']}/{t['refId']}": t["expr"].replace("$job", "brainseg") for p, t in targets}


def selectors(expression: str) -> set[str]:
    """What ``expression`` selects, a metric with its labels each."""
    return set(SELECTOR.findall(re.sub(r"\b(by|on|without) \([^)]*\)", "", expression)))


def shortened(text: str, by: int = SHORTER) -> str:
    """Rules whose windows and waits are ``by`` times shorter; all else in them is as it was."""

    def shorter(match: re.Match[str]) -> str:
        return f"{match[1]}{int(match[2]) * MILLISECONDS[match[3]] // by}ms"

    return re.sub(r"(\[|for: )(\d+)([smhd])", shorter, text)


@dataclass(frozen=True)
class Prometheus:
    url: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series; fails where Prometheus does."""
        reply = requests.get(f"{self.url}/api/v1/query", params={"query": expression}, timeout=120)
        assert reply.status_code == 200, f"{expression}: {reply.text}"
        found = reply.json()["data"]["result"]
        assert isinstance(found, list)
        return found

    def value(self, expression: str) -> float:
        """Of the first series; -1 where there is none yet."""
        found = self.query(expression)
        return float(found[0]["value"][1]) if found else -1.0

    def fires(self, alert: str) -> bool:
        return bool(self.query(f'ALERTS{{alertname="{alert}",alertstate="firing"}} == 1'))


@contextmanager
def prometheus(
    folder: Path, targets: Mapping[str, str], key: str | None = None, shorter: int = SHORTER
) -> Iterator[Prometheus]:
    """Scrapes ``targets`` (job -> host:port) every second and judges them by the rules, ``shorter`` times shortened.
    ``key``: what the job ``brainseg`` shows."""
    (folder / "rules.yml").write_text(shortened(RULES.read_text(), shorter))
    jobs: list[dict[str, Any]] = [
        {"job_name": job, "static_configs": [{"targets": [target]}]} for job, target in targets.items()
    ]
    if key is not None:
        (folder / "key").write_text(key)
        jobs[0]["authorization"] = {"credentials_file": str(folder / "key")}
    every = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config = {"global": every, "rule_files": [str(folder / "rules.yml")], "scrape_configs": jobs}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    command = [tool("prometheus"), f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'db'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--query.lookback-delta=10s", "--log.level=error"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    here = Prometheus(f"http://127.0.0.1:{port}")
    try:
        until(lambda: _ready(here.url) or process.poll() is not None, "Prometheus did not start")
        assert process.poll() is None, (folder / "log").read_text()
        yield here
    finally:
        process.terminate()
        process.wait(60)


def _ready(url: str) -> bool:
    try:
        return requests.get(f"{url}/-/ready", timeout=10).ok
    except requests.ConnectionError:
        return False
