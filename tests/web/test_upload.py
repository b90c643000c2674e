"""Bodies: bounded before they are taken in, answered when refused, held in memory and nowhere else."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from prove.server import Server
from tests.waiting import until
from web.contract.fields import MIB, REQUEST_BYTES

pytestmark = pytest.mark.server
OCTETS = {"Content-Type": "application/octet-stream"}


def held(door: str) -> float:
    text = requests.get(f"{door}/metrics", timeout=120).text
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith("brainseg_front_held_bytes"))


def until_nothing_is_held(door: str) -> None:
    until(lambda: not held(door), "a reservation leaked: not all was given back")


def half_sent(door: str, size: int, sent: int) -> socket.socket:
    host, port = door.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=120)
    head = f"POST /api/v1/segment HTTP/1.1\r\nHost: {host}\r\nContent-Type: image/png\r\nContent-Length: {size}\r\n\r\n"
    connection.sendall(head.encode() + bytes(sent))
    return connection


def test_over_the_limit_gets_a_problem_with_a_body_even_mid_upload(door: str) -> None:
    body = bytes(REQUEST_BYTES + 2 * MIB)
    reply = requests.post(f"{door}/api/v1/segment", data=body, headers=OCTETS, timeout=120)
    assert (reply.status_code, reply.json()["code"]) == (413, "too_large")
    chunked = requests.post(f"{door}/api/v1/segment", data=(bytes(MIB) for _ in range(70)), headers=OCTETS, timeout=120)
    assert (chunked.status_code, chunked.json()["code"]) == (413, "too_large")
    assert chunked.headers["X-Request-Id"]
    just_over = requests.post(f"{door}/api/v1/segment", data=bytes(REQUEST_BYTES + 1), headers=OCTETS, timeout=120)
    assert (just_over.status_code, just_over.json()["code"]) == (413, "too_large")
    until_nothing_is_held(door)


def test_a_client_that_asks_first_is_refused_before_it_sends(door: str) -> None:
    host, port = door.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=120) as connection:
        asking = f"Expect: 100-continue\r\nContent-Length: {REQUEST_BYTES * 2}\r\n\r\n"
        connection.sendall(f"POST /api/v1/segment HTTP/1.1\r\nHost: {host}\r\n{asking}".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_the_largest_scan_reaches_the_handler(door: str) -> None:
    """64 MiB exactly: refused by what it holds, not by its size."""
    reply = requests.post(f"{door}/api/v1/segment", data=bytes(REQUEST_BYTES), headers=OCTETS, timeout=120)
    assert (reply.status_code, reply.json()["code"]) == (415, "unsupported_format")
    form = requests.post(f"{door}/api/v1/segment", files={"file": bytes(REQUEST_BYTES)}, timeout=120)
    assert (form.status_code, form.json()["code"]) == (415, "unsupported_format")


def test_a_body_that_breaks_off_gives_its_bytes_back(door: str, lesion: bytes) -> None:
    open_ones = [half_sent(door, 64 * MIB, MIB) for _ in range(8)]
    try:
        until(lambda: held(door) >= 8 * MIB, "the bytes are not counted")
    finally:
        for connection in open_ones:
            connection.close()
    until_nothing_is_held(door)
    assert requests.post(f"{door}/api/v1/segment?outputs=none", data=lesion, headers=OCTETS, timeout=120).ok


def test_malformed_http_is_answered_in_the_contracts_form(door: str) -> None:
    host, port = door.removeprefix("http://").split(":")
    for head in (
        b"POST /api/v1/segment HTTP/1.1\r\nAuthorization: Bearer secret\r\nContent-Length: x\r\n\r\n",
        b"nonsense\r\n\r\n",
    ):
        with socket.create_connection((host, int(port)), timeout=120) as connection:
            connection.sendall(head)
            answer = connection.recv(4000)
        assert b"application/problem+json" in answer
        assert b"secret" not in answer


@pytest.fixture
def watched_files(detector: Server) -> Iterator[dict[str, int]]:
    """Every regular file the front door has open, looked at all the while, with its bytes at most."""
    assert detector.process is not None
    processes = psutil.Process(detector.process.pid).children(recursive=True)
    front = next(one for one in processes if "web.server" in one.cmdline())
    seen: dict[str, int] = {}
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            for link in Path(f"/proc/{front.pid}/fd").iterdir():
                with contextlib.suppress(OSError):  # closed since
                    name = str(link.readlink())
                    seen[name] = max(seen.get(name, 0), link.stat().st_size)
            time.sleep(0.005)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    yield seen
    stop.set()
    thread.join()


def test_no_upload_is_written_to_disk(watched_files: dict[str, int], door: str, stack: bytes) -> None:
    large = stack + bytes(20 * MIB)  # a TIFF may have bytes after its last page
    reply = requests.post(f"{door}/api/v1/segment?outputs=scan,probability", data=large, headers=OCTETS, timeout=120)
    assert reply.ok
    form = requests.post(f"{door}/api/v1/segment?outputs=scan", files={"file": large}, timeout=120)
    assert form.ok
    on_disk = {name for name in watched_files if name.startswith("/") and not name.startswith(("/dev/", "/proc/"))}
    marks = {name for name in on_disk if Path(name).parent.name == "wanted"}  # that an answer is waited for: no content
    assert all(watched_files[name] == 0 for name in marks)
    assert {Path(name).name for name in on_disk - marks} <= {"web.log", "web-console.log", "key_file.json"}
