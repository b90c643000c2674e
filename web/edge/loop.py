"""The server: waitress' loop with our connections, probes in threads of their own, and an end in order."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, TypeAlias

from flask import Flask
from waitress import wasyncore
from waitress.server import BaseWSGIServer, MultiSocketServer, create_server
from waitress.task import ThreadedTaskDispatcher

from web.contract.fields import RefusedError
from web.edge.channel import Channel
from web.edge.edge import Edge

logger = logging.getLogger(__name__)
SPARE_THREADS = 8  # for the page and the models while every place at TorchServe is taken
HEALTH_THREADS = 4
ENOUGH = 1 << 31  # above every body and answer: past it waitress would write them to disk; and above every number
LOOK_SECONDS = 0.5
FLUSH_SECONDS = 5.0  # for the last answers, after the drain
Server: TypeAlias = BaseWSGIServer | MultiSocketServer
ENDING = "The server is being stopped; try again in a while."


class Dispatcher(ThreadedTaskDispatcher):  # type: ignore[misc]  # waitress has no types
    """Answers probes in threads of their own, so that they never wait for a request that does."""

    def __init__(self, threads: int) -> None:
        super().__init__()
        self.set_thread_count(threads)
        self._health = ThreadedTaskDispatcher()
        self._health.set_thread_count(HEALTH_THREADS)

    def add_task(self, task: Channel) -> None:
        if task.requests[0].for_health:
            self._health.add_task(task)
        else:
            super().add_task(task)

    def shutdown(self, cancel_pending: bool = True, timeout: float = 5) -> None:
        super().shutdown(cancel_pending, timeout)
        self._health.shutdown(cancel_pending, timeout)


def listen(app: Flask, edge: Edge, host: str, port: int) -> Server:
    """Listens. Raises ``OSError`` when the port is taken."""
    bounds = edge.bounds
    server: Server = create_server(
        app,
        host=host,
        port=port,
        _dispatcher=Dispatcher(bounds.versions * (bounds.running + bounds.waiting) + bounds.watchers + SPARE_THREADS),
        connection_limit=ENOUGH,  # our own is kinder: see web.edge.crowd
        channel_timeout=ENOUGH,  # as are our own clocks: see web.edge.channel
        channel_request_lookahead=1,  # without it waitress does not see that a client hangs up
        max_request_body_size=1 << 62,  # web.edge.admission refuses, in the contract's form
        inbuf_overflow=ENOUGH,
        outbuf_overflow=ENOUGH,
        ident=None,
        clear_untrusted_proxy_headers=False,  # nobody here believes them, and web.access.origins wants to see them
    )
    for listener in _listeners(server):
        listener.edge = edge
        listener.channel_class = Channel
    edge.wake = _listeners(server)[0].pull_trigger
    return server


def address_of(server: Server) -> tuple[str, int]:
    """Where it listens."""
    first = _listeners(server)[0]
    return str(first.effective_host), int(first.effective_port)


def _sockets(server: Server) -> dict[int, Any]:
    """What waitress' loop looks after: listeners and connections."""
    found: dict[int, Any] = server.map if isinstance(server, MultiSocketServer) else server._map
    return found


def _listeners(server: Server) -> list[BaseWSGIServer]:
    """One for each address: ``localhost`` often has two."""
    return [one for one in _sockets(server).values() if isinstance(one, BaseWSGIServer)]


def run(server: Server, edge: Edge, stop: threading.Event, cut_off: Callable[[], None]) -> None:
    """Runs until ``stop`` is set; then takes no new connection, answers what has come in, and returns. ``cut_off`` is
    called when the time for that is over, and has to end what is in work."""
    sockets = _sockets(server)
    while not stop.is_set():
        _turn(sockets, edge)
    edge.end()
    for listener in _listeners(server):
        wasyncore.dispatcher.close(listener)  # who comes now is refused at once and can go elsewhere
    if not _until_done(sockets, edge, edge.bounds.drain_seconds):
        cut_off()
        edge.end_uploads(RefusedError("not_ready", ENDING, 5))
        if not _until_done(sockets, edge, FLUSH_SECONDS):
            for _ in range(edge.in_work()):
                logger.warning("cut off at the end: a request whose answer could not be given")
    server.task_dispatcher.shutdown(timeout=1)
    wasyncore.close_all(sockets)


def _until_done(sockets: dict[int, Any], edge: Edge, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while edge.in_work():
        if time.monotonic() > deadline:
            return False
        _turn(sockets, edge)
    return True


def _turn(sockets: dict[int, Any], edge: Edge) -> None:
    wasyncore.loop(timeout=LOOK_SECONDS, map=sockets, use_poll=True, count=1)
    edge.look()
