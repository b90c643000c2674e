"""Webhooks: only to hosts that the server names, signed as others check it, tried again, never led elsewhere."""

from __future__ import annotations

import io
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from tests.waiting import until
from tests.web.jobs.stage import SCAN, with_jobs
from tests.web.standin import Stage, standing_in
from web.contract.fields import RefusedError
from web.jobs import hook as module
from web.jobs.hook import Hook, read_secret

PUBLIC, PRIVATE = "93.184.216.34", "10.0.0.7"


@dataclass
class Receiver:
    """``answers``: statuses to come, the last for ever. ``heard``: headers and bodies."""

    answers: list[int]
    heard: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""


@contextmanager
def receiving(*answers: int) -> Iterator[Receiver]:
    receiver = Receiver(list(answers))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.heard.append(({name.lower(): value for name, value in self.headers.items()}, body))
            status = receiver.answers.pop(0) if len(receiver.answers) > 1 else receiver.answers[0]
            self.send_response(status)
            if status in range(300, 400):
                self.send_header("Location", receiver.url)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://localhost:{server.server_port}/ended?of=ward"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()


def test_the_end_of_a_job_is_told_and_signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSES", (0.1, 0.1))
    monkeypatch.setattr("web.jobs.service.PAUSES", (0.1, 0.1))
    folder = tmp_path / "jobs"
    with (
        standing_in(Stage()) as stage,
        receiving(503, 302, 204) as receiver,
        with_jobs(stage, folder, hosts=("localhost",)) as asker,
    ):
        assert asker.put("scan", query=f"?webhook={receiver.url}").status_code == 202
        until(lambda: asker.job("scan")["webhook"] == "delivered", "the webhook was not delivered")
        assert len(receiver.heard) == 3
        secret = (folder / "webhook-secret").read_text().strip()
        assert (folder / "webhook-secret").stat().st_mode & 0o077 == 0
        told = [Webhook(secret).verify(body, headers) for headers, body in receiver.heard]
        assert len({headers["webhook-id"] for headers, _ in receiver.heard}) == 1
        assert {headers["host"] for headers, _ in receiver.heard} == {receiver.url.split("/")[2]}
        assert told[2]["data"] == asker.job("scan")
        assert (told[2]["type"], told[2]["data"]["state"]) == ("job.ended", "succeeded")
        with pytest.raises(Exception, match="signature"):
            Webhook(secret).verify(receiver.heard[0][1] + b" ", receiver.heard[0][0])
        receiver.answers = [500]
        assert asker.ask("POST", files={"file": SCAN}, data={"webhook": receiver.url}).status_code == 202
        lost = json.loads(asker.put("lost", query=f"?webhook={receiver.url}").text)["id"]
        until(lambda: asker.job(lost)["webhook"] == "failed", "it was tried for ever")
        until(lambda: len(receiver.heard) == 9, "not each three times")


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    def found(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", found)


@pytest.mark.parametrize(
    "url",
    [
        "https://other.example/", "http://hooks.example/", "https://hooks.example.evil.example/", "ftp://hooks.example/",
        "https://ward:pass@hooks.example/", "https://hooks.example/#part", "hooks.example", "https://", "https://[::1",
        "https://127.0.0.1/", "http://localhost/", "https://hooks.example:x/",
    ],
)  # fmt: skip
def test_where_nothing_is_sent(url: str) -> None:
    with pytest.raises(RefusedError) as caught:
        Hook(("hooks.example",), b"k").check(url)
    assert caught.value.code == "invalid_parameter"


def test_by_default_nobody_is_told() -> None:
    with pytest.raises(RefusedError, match="--webhook-host"):
        Hook((), b"k").check("https://hooks.example/")


@pytest.mark.parametrize(
    ("addresses", "hosts", "sent"),
    [
        ((PUBLIC,), ("hooks.example",), True),
        ((PRIVATE,), ("hooks.example",), False),
        ((PUBLIC, PRIVATE), ("hooks.example",), False),
        (("127.0.0.1",), ("hooks.example",), False),
        (("169.254.169.254",), ("hooks.example",), False),
        (("224.0.0.1",), ("hooks.example",), False),
        ((PRIVATE,), ("hooks.example", PRIVATE), True),
    ],
)
def test_a_name_that_leads_within(
    addresses: tuple[str, ...], hosts: tuple[str, ...], sent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was looked up is what is connected to: a second look could give another address."""
    resolving(monkeypatch, *addresses)
    seen: list[tuple[str, str]] = []

    def post(split: Any, address: str, *_: Any) -> int:
        seen.append((split.hostname, address))
        return 200

    monkeypatch.setattr(module, "_post", post)
    assert Hook(hosts, b"k").send("https://hooks.example/", "job", b"{}") is sent
    assert seen == ([("hooks.example", addresses[0])] if sent else [])


def test_the_certificate_is_that_of_the_name() -> None:
    found = module._Pinned("hooks.example").poolmanager.connection_pool_kw
    assert (found["server_hostname"], found["assert_hostname"]) == ("hooks.example", "hooks.example")


def test_the_secret_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    first = read_secret(path)
    assert read_secret(path) == first
    assert len(first) == 32
    path.write_text("whsec_c2hvcnQ=")
    with pytest.raises(ValueError, match="expected whsec_"):
        read_secret(path)


class _Full(io.TextIOWrapper):
    """A file on a disk without room."""

    def write(self, _text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_disk_that_is_full_leaves_no_half_of_the_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was refused at every start, when there was room again too."""
    with monkeypatch.context() as patch:
        patch.setattr("os.fdopen", lambda number, mode: _Full(io.FileIO(number, mode)))
        with pytest.raises(OSError, match="No space"):
            read_secret(tmp_path / "secret")
    assert list(tmp_path.iterdir()) == []
    assert len(read_secret(tmp_path / "secret")) == 32
