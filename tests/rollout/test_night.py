"""The command at 3 am: without --state, after weeks, after root has used it."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rollout import find, history
from rollout.errors import Exit, NoServerError
from rollout.find import find_state
from rollout.folder import mark
from rollout.history import Event
from rollout.lock import LOCK_FILE, locked
from rollout.server import TorchServe
from scripts.commands.deploy import app


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """State folders of ours; ``default`` stands for the one that is meant without a word."""
    folders = {name: tmp_path / name for name in ("default", "one", "two")}
    for folder in folders.values():
        folder.mkdir()
        mark(folder)
    monkeypatch.setattr(find, "STATE", folders["default"])
    monkeypatch.setattr(find, "running", list)
    return folders


def test_without_a_name_it_is_the_server_that_runs(places: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_state(None) == places["default"]
    monkeypatch.setattr(find, "running", lambda: [places["one"]])
    assert find_state(None) == places["one"]
    monkeypatch.setattr(find, "running", lambda: [places["one"], places["two"]])
    with pytest.raises(NoServerError, match=r"2 servers run here.*--state: .*one, .*two"):
        find_state(None)
    assert find_state(places["two"]) == places["two"]
    monkeypatch.setattr(find, "running", lambda: [places["default"], places["two"]])
    assert find_state(None) == places["default"]


@pytest.mark.parametrize("command", ["status", "history", "rollback"])
@pytest.mark.parametrize("name", ["nowhere", "thesis"])
def test_a_wrong_folder_is_refused_and_not_touched(command: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "config.properties").write_text("mine")
    done = CliRunner().invoke(app, [command, "--state", str(tmp_path / name)])
    assert done.exit_code == Exit.NO_SERVER
    assert "--state" in done.output
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["config.properties", "thesis"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can leave files of root's behind")
def test_what_root_writes_stays_the_servers_users(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    with locked(tmp_path):
        history.append(tmp_path, Event("root", "2.0", "sha256:2", "promoted", "passed", "1.0"))
    assert [(tmp_path / name).stat().st_uid for name in (LOCK_FILE, history.HISTORY_FILE)] == [65534, 65534]


class Expired(BaseHTTPRequestHandler):
    """TorchServe after quiet weeks: its first token is refused until the API key has renewed it."""

    state: Path
    token = "first"

    def do_GET(self) -> None:
        given = (self.headers["Authorization"] or "").removeprefix("Bearer ")
        if self.path.startswith("/token"):
            type(self).token = "second"
            write_keys(self.state, "second")
            self._answer(200 if given == "api" else 400, {})
        elif given != "second":
            self._answer(400, {"code": 400, "type": "InvalidKeyException", "message": "expired"})
        else:
            self._answer(200, [{"modelVersion": "1.0"}])

    do_POST = do_GET  # noqa: N815 - the name that the library calls

    def _answer(self, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def write_keys(state: Path, token: str) -> None:
    keys = {"API": {"key": "api"}, "management": {"key": token}, "inference": {"key": token}}
    (state / "key_file.json").write_text(json.dumps(keys))


@pytest.fixture
def after_weeks(tmp_path: Path) -> Iterator[Path]:
    handler = type("Handler", (Expired,), {"state": tmp_path})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    settings = [f"{name}_address={url}" for name in ("inference", "management", "metrics")]
    (tmp_path / "config.properties").write_text("\n".join([*settings, f"model_store={tmp_path}"]))
    write_keys(tmp_path, "first")
    yield tmp_path
    server.shutdown()
    server.server_close()


def test_a_token_that_has_expired_is_renewed(after_weeks: Path) -> None:
    assert TorchServe(after_weeks).default() == "1.0"


def test_a_token_for_scans_too(after_weeks: Path) -> None:
    assert TorchServe(after_weeks).predict(b"scan").status_code == 200
