"""A proxy that answers by itself and remembers who came, and a server that says what reached it: what a request tells
to whom."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

NETRC = "default login somebody password else\n"


@dataclass
class Heard:
    """``lines``: request lines as they came; ``tokens``: their Authorization headers, empty where there was none."""

    url: str
    lines: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)


@contextlib.contextmanager
def listening(status: int = 200, headers: dict[str, str] | None = None, body: bytes = b"{}") -> Iterator[Heard]:
    """A server on a free port of loopback that gives every request the same answer, also one meant for elsewhere."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            heard.lines.append(self.requestline)
            heard.tokens.append(self.headers.get("Authorization", ""))
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_DELETE = do_CONNECT = _answer  # noqa: N815 - the library's names

        def log_message(self, format: str, *args: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        heard = Heard(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield heard
        finally:
            server.shutdown()
            thread.join()


def hostile_environment(proxy: str, folder: Path) -> dict[str, str]:
    """Variables that send everything through ``proxy``, and a ``.netrc`` in ``folder`` that knows every machine."""
    (folder / ".netrc").write_text(NETRC)
    names = ("http_proxy", "https_proxy", "all_proxy")
    spelled = {one: proxy for name in names for one in (name, name.upper())}
    return {**spelled, "no_proxy": "", "NO_PROXY": "", "NETRC": str(folder / ".netrc"), "HOME": str(folder)}


@contextlib.contextmanager
def behind_a_proxy(folder: Path) -> Iterator[Heard]:
    """This process's environment as :func:`hostile_environment` has it, with the proxy listening."""
    with listening() as proxy, pytest.MonkeyPatch.context() as patch:
        for name, value in hostile_environment(proxy.url, folder).items():
            patch.setenv(name, value)
        yield proxy
