"""A front door in this process, on a port of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import requests
from flask import Flask

from serving.ports import free_port
from web.app import create_app
from web.door import Door
from web.server import make_server, serve
from web.settings import Settings


@dataclass
class Inside:
    """``stop``: as SIGTERM would; ``thread``: ends with the server."""

    app: Flask
    port: int
    stop: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread = field(default_factory=threading.Thread)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def door(self) -> Door:
        found = self.app.extensions["brainseg"]
        assert isinstance(found, Door)
        return found

    def metric(self, line: str) -> float:
        """The value of the sample that is written ``line`` (name and labels); 0 where it is not there yet."""
        text = requests.get(f"{self.url}/metrics", timeout=60).text
        return next((float(one.rsplit(" ", 1)[1]) for one in text.splitlines() if one.startswith(f"{line} ")), 0.0)


@contextmanager
def opened(settings: Settings) -> Iterator[Inside]:
    app = create_app(settings)
    inside = Inside(app, free_port())
    server = make_server(app, "127.0.0.1", inside.port)
    inside.thread = threading.Thread(target=serve, args=(server, app, inside.stop), daemon=True)
    inside.thread.start()
    try:
        yield inside
    finally:
        inside.stop.set()
        inside.thread.join(60)
