"""``python -m web.server``: the front door on waitress, until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from flask import Flask
from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer, MultiSocketServer, create_server

from web.access.who import StartError, check_start
from web.app import create_app
from web.door import Door
from web.settings import Bounds, Settings
from web.way.admission import Admission, admitting

logger = logging.getLogger("web")
SPARE_THREADS = 8  # for the page, readiness and metrics while every place at TorchServe is taken
LARGEST_BUFFER = 1 << 31  # above every body and answer: past it waitress would write them to disk
DRAIN_SECONDS = 30.0
LOOP_SECONDS = 0.5
Server: TypeAlias = BaseWSGIServer | MultiSocketServer
KEYED_RATE, KEYED_SHARE = 600, 0.75  # per client where there are several: 10 a second, three quarters of the places


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="web.server", description="The front door of BrainSeg.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--inference-url", default=Settings.inference_url)
    parser.add_argument("--management-url", default=Settings.management_url)
    parser.add_argument("--model", default=Settings.model)
    parser.add_argument("--key-file", type=Path, help="TorchServe's key_file.json; none: it runs without tokens")
    parser.add_argument("--api-keys", type=Path, help="file with a line 'name key' for each client")
    parser.add_argument("--samples", type=Path, help="folder of the page's sample scans")
    parser.add_argument("--deployment", type=Path, help="deployment.json in the state folder; it need not exist")
    parser.add_argument("--running", type=int, default=Bounds.running, help="requests with TorchServe at a time")
    parser.add_argument("--rate", type=int, help="requests a minute and client; 0: no limit")
    return parser.parse_args(arguments)


def settings_of(options: argparse.Namespace) -> Settings:
    """Raises ``ValueError`` for a URL or name that cannot be."""
    keyed = options.api_keys is not None
    rate = options.rate if options.rate is not None else KEYED_RATE if keyed else 0
    bounds = replace(
        Bounds(), running=options.running, rate_per_minute=rate, client_share=KEYED_SHARE if keyed else 1.0
    )
    return Settings(
        options.inference_url,
        options.management_url,
        options.model,
        options.key_file,
        options.api_keys,
        options.samples,
        options.deployment,
        bounds,
    )


def make_server(app: Flask, settings: Settings, host: str, port: int) -> Server:
    """A waitress server, listening. Raises ``OSError`` when the port is taken."""
    bounds = settings.bounds
    server = create_server(
        app,
        host=host,
        port=port,
        threads=bounds.running + bounds.waiting + SPARE_THREADS,
        connection_limit=200,
        channel_timeout=60,
        channel_request_lookahead=1,
        max_request_body_size=LARGEST_BUFFER,
        inbuf_overflow=LARGEST_BUFFER,
        outbuf_overflow=LARGEST_BUFFER,
        ident=None,
        clear_untrusted_proxy_headers=True,
    )
    door = app.extensions["brainseg"]
    assert isinstance(door, Door)  # noqa: S101
    admission = Admission(bounds, door.access, door.metrics)
    door.metrics.gauge("brainseg_front_held_bytes", lambda: admission.held_bytes)
    for listener in _listeners(server):
        admitting(listener, admission)
    return server


def _sockets(server: Server) -> dict[int, Any]:
    """What waitress' loop looks after: listeners and connections."""
    found: dict[int, Any] = server.map if isinstance(server, MultiSocketServer) else server._map
    return found


def _listeners(server: Server) -> list[BaseWSGIServer]:
    """One for each address: ``localhost`` often has two."""
    return [one for one in _sockets(server).values() if isinstance(one, BaseWSGIServer)]


def _in_work(server: Server) -> bool:
    channels = [one for one in _sockets(server).values() if isinstance(one, HTTPChannel)]
    return any(one.requests or one.request or one.total_outbufs_len for one in channels)


def serve(server: Server, stop: threading.Event) -> None:
    """Runs until ``stop`` is set; then takes no new connection, answers what has come in, and returns."""
    deadline = float("inf")
    while time.monotonic() < deadline and not (stop.is_set() and not _in_work(server)):
        if stop.is_set() and deadline == float("inf"):
            deadline = time.monotonic() + DRAIN_SECONDS
            for listener in _listeners(server):
                listener.accepting = False
        wasyncore.loop(timeout=LOOP_SECONDS, map=_sockets(server), use_poll=True, count=1)
    server.task_dispatcher.shutdown(timeout=1)
    wasyncore.close_all(_sockets(server))


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0 after a signal, 2 when it refuses to start."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    options = _options(arguments)
    try:
        settings = settings_of(options)
        check_start(options.host, settings.api_keys)
        server = make_server(create_app(settings), settings, options.host, options.port)
    except (StartError, ValueError, OSError) as error:
        print(f"front door: {error}", file=sys.stderr)
        return 2
    guarded = "with API keys" if settings.api_keys else "open to this machine"
    logger.info("front door on http://%s:%s, %s", options.host, _listeners(server)[0].effective_port, guarded)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    serve(server, stop)
    return 0


if __name__ == "__main__":
    sys.exit(main())
