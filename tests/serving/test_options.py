"""``scripts/serve``: where its options come from, and what it refuses before anything is started."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import requests
import typer
from typer.testing import CliRunner

from archive.store import ROOT
from scripts.commands import serve
from serving.door import Door
from serving.ports import free_port
from serving.running import Running
from serving.serve import _start_front_door
from serving.torchserve import Ports, make_places
from tests.waiting import until

ANYWHERE = "0.0.0.0"  # noqa: S104 - it is refused


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """The ports and the front door that ``scripts/serve`` would start with; empty while it starts nothing."""
    found: dict[str, Any] = {}

    def run(_running: object, ports: object, door: object, *_rest: object) -> None:
        found.update(ports=ports, door=door)

    monkeypatch.setattr(serve, "run", run)
    monkeypatch.setattr(serve, "check_ports", lambda _named: None)
    for name in ("PORT", "HOST", "METRICS_PORT", "CONFIG", "API_KEYS"):
        monkeypatch.delenv(f"BRAINSEG_{name}", raising=False)
    monkeypatch.setenv("BRAINSEG_STATE", str(tmp_path / "state"))
    return found


def call(*arguments: str, **variables: str) -> Any:
    return CliRunner().invoke(serve.app, list(arguments), env=variables)


def test_a_flag_goes_before_the_environment_and_that_before_the_file(started: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "serve.toml").write_text(
        'port = 8101\nmetrics-port = 8102\ninference_port = 8103\nlog_format = "json"\n'
        'allow_origin = ["https://viewer.example"]\nlog_stdout = true\n'
    )
    done = call(
        "--config", str(tmp_path / "serve.toml"), "--port", "8301", BRAINSEG_PORT="8201", BRAINSEG_METRICS_PORT="8202"
    )
    assert done.exit_code == 0, done.output
    assert (started["door"].port, started["ports"].metrics, started["ports"].inference) == (8301, 8202, 8103)
    assert (started["door"].log_format, started["door"].origins) == ("json", ("https://viewer.example",))
    assert (started["door"].log_stdout, started["door"].log_level) == (True, "info")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prot = 1", "has prot; expected"),
        ("port =", "cannot be read as TOML"),
        ("port = 0", "1 to 65535"),
        ("port = true", "port = true; expected a whole number"),
        ("port = 8000.9", "port = 8000.9; expected a whole number"),
        ("log_stdout = 1", "log_stdout = 1; expected true or false"),
        ("host = true", "host = true; expected what --host takes"),
        ("grpc_port = 8001.5", "grpc_port = 8001.5; expected what --grpc-port takes"),
        ('log-format = "xml"', "log-format"),
        ('profile = "turbo"', "profile"),
        ('log-level = "error"\nlog_level = "info"', "log-level twice"),
    ],
)
def test_a_file_that_means_nothing_is_refused(started: dict[str, Any], tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "serve.toml").write_text(text)
    done = call(BRAINSEG_CONFIG=str(tmp_path / "serve.toml"), COLUMNS="500")
    assert done.exit_code == 2
    assert words in done.output.replace("\n", " ")
    assert not started


def test_beyond_loopback_without_keys_is_refused_before_anything_is_started(
    started: dict[str, Any], tmp_path: Path
) -> None:
    done = call("--host", ANYWHERE)
    assert done.exit_code == 2
    assert "--api-keys" in done.output
    assert not started
    assert not (tmp_path / "state").exists()
    (tmp_path / "keys").write_text("ward ward-0123456789abcdefghij\n")
    assert call("--host", ANYWHERE, BRAINSEG_API_KEYS=str(tmp_path / "keys")).exit_code == 0
    assert started["door"].host == ANYWHERE


@pytest.mark.server
@pytest.mark.parametrize(("level", "said"), [("info", True), ("error", False)])
def test_the_front_doors_lines_go_to_standard_output_where_asked(
    level: str, said: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def alive() -> bool:
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(f"{door.url}livez", timeout=60).ok
        return False

    # There is no TorchServe behind it, so that it never becomes ready.
    monkeypatch.setattr("serving.serve.wait_front_door", lambda *_: until(alive, "the front door runs"))
    (tmp_path / "state").mkdir()
    places = make_places(tmp_path / "state", tmp_path)
    running, ports = Running(places), Ports(free_port(), free_port(), free_port())
    door = Door("127.0.0.1", free_port(), None, log_level=level, log_stdout=True)
    try:
        _start_front_door(running, ports, door)
        requests.get(f"{door.url}nothing", headers={"X-Request-Id": "mine"}, timeout=60)
    finally:
        running.stop()
    assert ("id=mine status=404" in capfd.readouterr().out) == said
    assert not (places.logs / "web.log").exists()


def test_the_unit_is_one_that_systemd_takes_and_shuts_in(tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not here: the unit was not looked at")
    unit = tmp_path / "brainseg.service"
    text = (ROOT / "deploy" / "systemd" / "brainseg.service").read_text()
    unit.write_text(text.replace("/srv/brainseg", str(ROOT)))
    for command in (["verify", "--man=no"], ["security", "--offline=true", "--threshold=30"]):
        done = subprocess.run(
            ["systemd-analyze", *command, str(unit)], capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
    given = next(line for line in text.splitlines() if line.startswith("ExecStart=")).split()[1:]
    known = {option for one in typer.main.get_command(serve.app).params for option in one.opts}
    assert {word for word in given if word.startswith("--")} <= known
