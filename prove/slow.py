"""Clients that misbehave: they send slowly, never read, or go away."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PATIENCE = 120.0  # seconds until a test gives up waiting for an event; no test asserts how fast one is


def until(condition: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    """Waits for ``condition``; ``what`` should have happened."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            raise AssertionError(f"it did not happen: {what}")
        time.sleep(0.02)


def head(*headers: str, method: str = "POST", path: str = "/api/v1/segment", size: int | None = None) -> bytes:
    """The head of a request, whole; ``size``: the Content-Length it declares."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
    if size is not None:
        lines.append(f"Content-Length: {size}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def read_answer(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Status, headers (names in lower case) and body of one answer, read to the length that it declares."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            raise AssertionError(f"the connection was closed without an answer: {data!r}")
        data += more
    top, _, body = data.partition(b"\r\n\r\n")
    lines = top.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:])}
    while len(body) < int(headers.get("content-length", 0)):
        more = connection.recv(65536)
        if not more:
            raise AssertionError("the answer was cut off")
        body += more
    return int(lines[0].split()[1]), headers, body


def code_of(body: bytes) -> str:
    """The contract's code in an answer's body."""
    return str(json.loads(body).get("code", "ok"))


def closed(connection: socket.socket) -> bool:
    """Whether the other side has closed; what came before that is read and forgotten."""
    connection.settimeout(PATIENCE)
    with contextlib.suppress(ConnectionError):
        while connection.recv(65536):
            pass
    return True


class Dripping(threading.Thread):
    """Sends ``first`` and then a byte every ``pause`` seconds, until it is told to stop or the connection is closed;
    then ``ended`` is true."""

    def __init__(self, port: int, first: bytes, pause: float = 0.1, drop: bytes = b"x") -> None:
        super().__init__(daemon=True)
        self.connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._first, self._pause, self._drop = first, pause, drop
        self._stop_it = threading.Event()
        self.ended = False

    def run(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.sendall(self._first)
            while not self._stop_it.wait(self._pause):
                self.connection.sendall(self._drop)
        self.ended = True

    def close(self) -> None:
        self._stop_it.set()
        self.join(PATIENCE)
        self.connection.close()


@contextmanager
def dripping(port: int, first: bytes, count: int = 1, pause: float = 0.1) -> Iterator[list[Dripping]]:
    """``count`` slow clients at once."""
    crowd = [Dripping(port, first, pause) for _ in range(count)]
    for one in crowd:
        one.start()
    try:
        yield crowd
    finally:
        for one in crowd:
            one.close()


@contextmanager
def unread(port: int, request: bytes) -> Iterator[socket.socket]:
    """A client that asks and never reads; its window is small, so that nothing hides in the system's buffers."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(PATIENCE)
    connection.connect(("127.0.0.1", port))
    try:
        connection.sendall(request)
        yield connection
    finally:
        connection.close()


def ask_and_go(port: int, request: bytes) -> socket.socket:
    """Sends ``request``; the caller closes the connection when it is time to have gone."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    connection.sendall(request)
    return connection
