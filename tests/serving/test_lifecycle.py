"""``scripts/serve`` starts whole, stops whole, and says what is wrong when it cannot."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import requests

from archive.digests import write_record
from archive.store import ROOT
from prove.drawn.pictures import tiff
from prove.server import Server
from prove.slow import ask_and_go, head, read_answer
from serving.ports import free_port
from serving.running import DOOR_END_SECONDS, Running
from serving.temporary import INSIDE
from serving.torchserve import make_places
from tests.processes import lives
from tests.proxy import Heard, hostile_environment, listening
from tests.rollout.stage import ARCHIVE, RELEASE, appended, pausing
from tests.waiting import until

pytestmark = pytest.mark.server


def _packagers(server: int) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(server).children(recursive=True):
        with contextlib.suppress(psutil.Error):  # others come and go
            if "archive" in child.cmdline():
                found.append(child)
    return found


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Heard]:
    """Where everything of a server would go that is started as ``hostile`` says."""
    with listening() as heard:
        yield heard


@pytest.fixture
def hostile(tmp_path: Path, proxy: Heard) -> dict[str, str]:
    """An environment with a proxy for all, in a folder whose modules are not to be imported."""
    for name in ("random", "typer", "handler", "ts"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported from where one stands')")
    return {**hostile_environment(proxy.url, tmp_path), "PYTHONPATH": str(tmp_path)}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_instance_lives_beside_the_first_and_leaves_nothing(
    number: signal.Signals, tiny_server: Server, tiny_store: Path, tmp_path: Path, lesion: bytes,
    hostile: dict[str, str], proxy: Heard,
) -> None:  # fmt: skip
    """Nor does it tell a proxy of the environment anything, or import what lies where it is started; spaces in its
    path, a narrow umask and a locale without umlauts are nothing to it."""
    other = Server(tiny_store, tmp_path / "its own state", variables={**hostile, "LC_ALL": "C"}, cwd=tmp_path)
    before = os.umask(0o077)
    try:
        other.start()
    finally:
        os.umask(before)
    try:
        assert other.process is not None
        assert other.post(lesion).status_code == 200
        assert tiny_server.post(lesion).status_code == 200
        started = psutil.Process(other.process.pid).children(recursive=True)
        assert any("java" in process.name() for process in started)
        other.process.send_signal(number)
        assert other.process.wait(120) == 0
        assert not [process for process in started if lives(process)]
        assert not other.key_file.exists()
        assert not (other.state / INSIDE).exists()
        assert proxy.lines == []
    finally:
        other.kill()
    assert tiny_server.post(lesion).status_code == 200


def test_a_second_server_in_the_same_state_folder_is_refused_and_the_first_lives_on(
    tiny_server: Server, tiny_store: Path, lesion: bytes
) -> None:
    before = tiny_server.auth()
    second = Server(tiny_store, tiny_server.state)
    done = subprocess.run(second.command(), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert tiny_server.process is not None
    assert f"process {tiny_server.process.pid} serves from" in done.stdout
    assert "--state" in done.stdout
    assert tiny_server.auth() == before
    assert tiny_server.post(lesion).status_code == 200


def test_after_kill_9_it_starts_again_on_the_same_ports(tiny_store: Path, tmp_path: Path, lesion: bytes) -> None:
    server = Server(tiny_store, tmp_path / "state")
    server.start()
    try:
        assert server.process is not None
        before = psutil.Process(server.process.pid).children(recursive=True)
        server.process.kill()
        server.process.wait(120)
        assert [process for process in before if lives(process)], "nothing was left behind: this test shows nothing"
        server.start()
        assert "that it left behind" in server.output.read_text()
        assert not [process for process in before if lives(process)]
        assert server.post(lesion).status_code == 200
        assert server.stop() == 0
    finally:
        server.kill()


def test_the_end_waits_for_answers_as_long_as_it_says(tmp_path: Path) -> None:
    """It once killed the front door after 10 s, whatever that was doing."""
    waited: list[float] = []

    class Door:
        def send_signal(self, number: int) -> None:
            assert number == signal.SIGTERM

        def wait(self, seconds: float) -> int:
            waited.append(seconds)
            return 0

    Running(make_places(tmp_path, tmp_path), 45.0, [("the front door", Door())]).stop()  # type: ignore[list-item]
    assert waited == [45.0 + DOOR_END_SECONDS]


def test_whom_the_end_cuts_off_is_answered_and_named(packaged: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(packaged / RELEASE, store / RELEASE)
    write_record(appended(packaged / ARCHIVE, store / ARCHIVE, pausing(1)))
    server = Server(store, tmp_path / "state", options=("--drain-seconds", "0.5"))
    server.start()
    try:
        scan = tiff(np.full((200, 32, 32), 100, np.uint8))  # of minutes
        connection = ask_and_go(server.port, head("X-Request-Id: stack", size=len(scan)) + scan)
        until(lambda: _running(server), "the request does not run")
        assert server.stop() == 0
        assert read_answer(connection)[0] == 503
        assert "cut off at the end: id=stack" in (server.state / "logs" / "web.log").read_text()
    finally:
        server.kill()


def _running(server: Server) -> bool:
    return "brainseg_front_running 1.0" in requests.get(f"{server.door}/metrics", timeout=120).text


def test_a_port_in_use_is_named(tiny_store: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        other = Server(tiny_store, tmp_path / "state", management_port=taken.getsockname()[1])
        with pytest.raises(RuntimeError, match=f"port {other.management_port} is in use.*--management-port"):
            other.start()
        assert other.process is not None
        assert other.process.returncode == 1


def test_changed_weights_refuse_to_start(tiny_store: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(tiny_store / "brainseg-1.0", store / "brainseg-1.0")
    weights = store / "brainseg-1.0" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x00")
    with pytest.raises(RuntimeError, match="its model card says"):
        Server(store, tmp_path / "state").start()


def test_told_to_end_while_it_packages_it_ends_at_once(tiny_store: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(tiny_store / "brainseg-1.0", store / "brainseg-1.0")
    with (tmp_path / "out").open("w") as output:
        process = subprocess.Popen(Server(store, tmp_path / "state").command(), stdout=output, stderr=output)
    try:
        packager = until(lambda: _packagers(process.pid), "it did not begin to package")
        process.terminate()
        assert process.wait(120) == 0
    finally:
        process.kill()
    assert not any(lives(one) for one in packager)
    assert (tmp_path / "out").read_text().rstrip().endswith("stopped")
    assert [path.name for path in store.iterdir()] == ["brainseg-1.0"]


def test_a_swapped_weight_file_inside_an_archive_refuses_to_load(tiny_server: Server, tiny_store: Path) -> None:
    """The handler itself checks the digest, whoever made the archive."""
    import zipfile

    import requests

    damaged = tiny_store / "damaged.mar"
    with zipfile.ZipFile(tiny_store / "brainseg-1.0.mar") as source, zipfile.ZipFile(damaged, "w") as target:
        for item in source.infolist():
            content = source.read(item)
            target.writestr(item, content[:-1] + b"\x01" if item.filename.endswith(".safetensors") else content)
    params = {"url": damaged.name, "model_name": "damaged", "initial_workers": "1", "synchronous": "true"}
    url = f"{tiny_server.management}/models"
    try:
        reply = requests.post(url, params=params, headers=tiny_server.auth("management"), timeout=300)
        assert reply.status_code >= 400
        # TorchServe answers while it still reads what the worker printed.
        log = tiny_server.state / "logs" / "torchserve.log"
        until(lambda: "its model card says" in log.read_text(), f"{log} does not say why")
        assert "BrainSeg refuses to start" in log.read_text()
    finally:
        requests.delete(f"{url}/damaged", headers=tiny_server.auth("management"), timeout=120)
        damaged.unlink()


def test_an_empty_model_store_is_explained(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    command = [
        str(ROOT / "scripts" / "serve"),
        "--model-store",
        str(tmp_path / "store"),
        "--state",
        str(tmp_path / "s"),
    ]
    for option in ("--inference-port", "--management-port", "--metrics-port", "--port"):
        command += [option, str(free_port())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "no release in" in done.stdout


def test_a_release_that_does_not_start_ends_it_at_once_with_the_reason(packaged: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(packaged / RELEASE, store / RELEASE)
    crash = b'\nraise RuntimeError("a library is missing here")\n'
    write_record(appended(packaged / ARCHIVE, store / ARCHIVE, crash))
    with pytest.raises(RuntimeError, match="RuntimeError: a library is missing here") as caught:
        Server(store, tmp_path / "state").start()
    assert "Last lines" not in str(caught.value)
    assert "were not ready after" not in str(caught.value)


@pytest.mark.parametrize("port", ["70000", "0", "-1"])
def test_a_port_that_cannot_be_is_refused(port: str, tmp_path: Path) -> None:
    command = [str(ROOT / "scripts" / "serve"), "--state", str(tmp_path / "state"), "--port", port]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert f"port {port}; expected 1 to 65535" in done.stderr
    assert not (tmp_path / "state").exists()
