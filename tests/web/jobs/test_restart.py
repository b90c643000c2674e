"""A restart goes on with what was accepted; nothing is sent anywhere; without the extra it says what to install."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from archive.store import ROOT
from prove.server import environment
from serving.ports import free_port
from tests.waiting import until
from tests.web.jobs.stage import SCAN, with_jobs
from tests.web.standin import OK, Stage, standing_in


def test_running_and_waiting_jobs_go_on_after_an_end(tmp_path: Path) -> None:
    folder = tmp_path / "jobs"
    with standing_in(Stage()) as stage:
        stage.hold()
        with with_jobs(stage, folder, drain_seconds=1) as asker:
            for identity in ("a", "b"):
                asker.put(identity, SCAN + identity.encode())
            until(lambda: stage.headers != {}, "no job came to TorchServe")
            asker.put("done")
            asker.put("cancelled")
            assert asker.ask("DELETE", "/cancelled").json()["state"] == "cancelled"
        (folder / "bodies" / ".new-half").write_bytes(b"a kill left it")
        (folder / "results" / "of-nobody").write_bytes(b"likewise")
        stage.goes_on.set()
        with with_jobs(stage, folder) as asker:
            for identity in ("a", "b", "done"):
                assert asker.ended(identity)["state"] == "succeeded"
                assert asker.result(identity).json() == OK[2]
            assert asker.job("cancelled")["state"] == "cancelled"
        left = [path.name for kind in ("bodies", "results") for path in (folder / kind).iterdir()]
        assert sorted(name.partition("-")[2] for name in left) == ["a", "b", "done"]


def test_nothing_is_sent_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """dbos has a console, an admin server and traces that it could report to; by its variables too."""
    asked: list[str] = []
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def connecting(self: socket.socket, address: Any) -> None:
        asked.append(str(address[0]) if isinstance(address, tuple) else "unix")
        connect(self, address)

    def looking_up(host: Any, *rest: Any, **more: Any) -> Any:
        asked.append(str(host))
        return look_up(host, *rest, **more)

    monkeypatch.setattr(socket.socket, "connect", connecting)
    monkeypatch.setattr(socket, "getaddrinfo", looking_up)
    with standing_in(Stage()) as stage, with_jobs(stage, tmp_path / "jobs") as asker:
        asker.put("scan")
        assert asker.ended("scan")["state"] == "succeeded"
    assert asked
    assert set(asked) <= {"127.0.0.1", "localhost"}


def test_variables_of_dbos_change_nothing() -> None:
    code = "import os, web.jobs.queue; from dbos._utils import GlobalParams as g; "
    code += "assert not [name for name in os.environ if name.startswith('DBOS__')]; assert not g.dbos_cloud"
    variables = {**os.environ, "DBOS__CLOUD": "true", "DBOS__CONDUCTOR_KEY": "k", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=variables, check=True)


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "dbos.py").write_text("raise ImportError(name='dbos')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import web.server; "
    code += f"sys.exit(web.server.main(['--port', '{free_port()}', '--jobs', {str(tmp_path / 'jobs')!r}]))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "brainseg[jobs]" in done.stderr


def test_without_jobs_dbos_is_not_imported() -> None:
    code = "import sys; from web.app import create_app; from web.settings import Settings; create_app(Settings()); "
    code += "sys.exit('dbos' in sys.modules or 'sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(("text", "seconds"), [("0", 0), ("90s", 90), ("30m", 1800), ("1h", 3600), ("2d", 172800)])
def test_spans(text: str, seconds: float) -> None:
    from web.jobs.entrance import seconds_of

    assert seconds_of(text) == seconds
    for wrong in ("", "h", "1", "-1h", "1.5h", "1w", "0h", "1 h", "١h"):
        with pytest.raises(ValueError, match="expected a time"):
            seconds_of(wrong)
