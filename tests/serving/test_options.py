"""``scripts/serve``: where its options come from, and what it refuses before anything is started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from scripts.commands import serve

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
        'allow_origin = ["https://viewer.example"]\n'
    )
    done = call(
        "--config", str(tmp_path / "serve.toml"), "--port", "8301", BRAINSEG_PORT="8201", BRAINSEG_METRICS_PORT="8202"
    )
    assert done.exit_code == 0, done.output
    assert (started["door"].port, started["ports"].metrics, started["ports"].inference) == (8301, 8202, 8103)
    assert (started["door"].log_format, started["door"].origins) == ("json", ("https://viewer.example",))


@pytest.mark.parametrize(
    ("text", "words"),
    [("prot = 1", "has prot; expected"), ("port =", "cannot be read as TOML"), ("port = 0", "1 to 65535")],
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
    assert done.exit_code == 1
    assert "--api-keys" in done.output
    assert not started
    assert not (tmp_path / "state").exists()
    (tmp_path / "keys").write_text("ward ward-0123456789abcdefghij\n")
    assert call("--host", ANYWHERE, BRAINSEG_API_KEYS=str(tmp_path / "keys")).exit_code == 0
    assert started["door"].host == ANYWHERE
