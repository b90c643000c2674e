"""``python -m web.server``: the front door on waitress, until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from flask import Flask

from web.access.who import StartError, check_start
from web.app import create_app
from web.door import Door
from web.edge.loop import Server, address_of, listen, run
from web.jobs.entrance import jobs_of, seconds_of
from web.log import FORMATS, LEVELS, logger, set_up
from web.settings import Bounds, JobBounds, Settings

if TYPE_CHECKING:
    from web.open_inference.listen import Port

KEYED_RATE, KEYED_SHARE = 600, 0.75  # per client where there are several: 10 a second, three quarters of the places


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="web.server", description="The front door of BrainSeg.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--grpc-port", type=int, help="of the Open Inference Protocol over gRPC; none: it is off")
    parser.add_argument("--inference-url", default=Settings.inference_url)
    parser.add_argument("--management-url", default=Settings.management_url)
    parser.add_argument("--model", default=Settings.model)
    parser.add_argument("--key-file", type=Path, help="TorchServe's key_file.json; none: it runs without tokens")
    parser.add_argument("--api-keys", type=Path, help="file with a line 'name key' for each client")
    parser.add_argument("--allow-origin", action="append", default=[], help="a page elsewhere that may call the API")
    parser.add_argument("--samples", type=Path, help="folder of the page's sample scans")
    parser.add_argument("--deployment", type=Path, help="deployment.json in the state folder; it need not exist")
    parser.add_argument("--wanted", type=Path, help="folder in which workers see whether an answer is still wanted")
    parser.add_argument("--passport-keys", type=Path, help="folder of the keys that sign passports; made when missing")
    parser.add_argument("--drift", type=Path, help="file of the window of figures; none: it ends with the process")
    parser.add_argument("--otlp", help="http://HOST:PORT of a collector of traces; none: nothing is traced")
    parser.add_argument("--jobs", type=Path, help="folder of jobs, made when missing; none: there are no jobs")
    parser.add_argument("--jobs-keep", type=seconds_of, default=0.0, help="how long results are kept, such as 1h")
    parser.add_argument("--webhook-host", action="append", default=[], help="a host that the end of a job is told to")
    parser.add_argument("--running", type=int, default=Bounds.running, help="requests with a version at a time")
    parser.add_argument("--rate", type=int, help="requests a minute and client; 0: no limit")
    parser.add_argument("--drain-seconds", type=float, default=Bounds.drain_seconds, help="for answers at the end")
    parser.add_argument("--log", type=Path, help="file to append to, rolled at 20 MB; none: standard error")
    parser.add_argument("--log-format", choices=FORMATS, default=FORMATS[0])
    parser.add_argument("--log-level", choices=LEVELS, default=LEVELS[0])
    return parser.parse_args(arguments)


def settings_of(options: argparse.Namespace) -> Settings:
    """Raises ``ValueError`` for a URL, name or origin that cannot be."""
    keyed = options.api_keys is not None
    rate = options.rate if options.rate is not None else KEYED_RATE if keyed else 0
    bounds = replace(
        Bounds(),
        running=options.running,
        rate_per_minute=rate,
        client_share=KEYED_SHARE if keyed else 1.0,
        drain_seconds=options.drain_seconds,
    )
    jobs = JobBounds(options.jobs, options.jobs_keep, tuple(options.webhook_host)) if options.jobs else None
    return Settings(
        options.inference_url,
        options.management_url,
        options.model,
        options.key_file,
        options.api_keys,
        options.samples,
        options.deployment,
        tuple(options.allow_origin),
        options.wanted,
        options.passport_keys,
        options.drift,
        options.otlp,
        jobs,
        bounds,
    )


def _door(app: Flask) -> Door:
    door = app.extensions["brainseg"]
    assert isinstance(door, Door)  # noqa: S101
    return door


def make_server(app: Flask, host: str, port: int) -> Server:
    """Listens for ``app``. Raises ``OSError`` when the port is taken."""
    return listen(app, _door(app).edge, host, port)


def open_grpc(app: Flask, host: str, port: int) -> Port:
    """Listens for the Open Inference Protocol over gRPC. Raises ``OSError`` when the port is taken, ``StartError``
    without the extra."""
    try:
        from web.open_inference.listen import Port
    except ImportError as error:
        raise StartError(f"--grpc-port needs {error.name}: pip install 'brainseg[grpc]'") from error
    return Port(_door(app), host, port)


def serve(server: Server, app: Flask, stop: threading.Event, port: Port | None = None) -> None:
    """Runs until ``stop`` is set and what has come in is answered. ``port``: of gRPC, which ends with it."""
    door, jobs = _door(app), jobs_of(app)
    if jobs is not None:
        jobs.start()

    def end() -> None:
        stop.wait()
        if jobs is not None:
            jobs.stop()
        if port is not None:
            port.end(door.settings.bounds.drain_seconds)

    ender = threading.Thread(target=end, name="end")
    ender.start()
    run(server, door.edge, stop, door.ending.set)
    ender.join()
    if jobs is not None:
        jobs.end()
    door.drift.close()
    door.traces.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0 after a signal, 2 when it refuses to start."""
    options = _options(arguments)
    try:
        set_up(options.log_format, options.log, options.log_level)
        settings = settings_of(options)
        check_start(options.host, settings.api_keys)
        app = create_app(settings)
        server = make_server(app, options.host, options.port)
        port = open_grpc(app, options.host, options.grpc_port) if options.grpc_port is not None else None
    except (StartError, ValueError, OSError) as error:
        print(f"front door: {error}", file=sys.stderr)
        if options.log:
            logger.error("did not start: %s", error)
        return 2
    guarded = "with API keys" if settings.api_keys else "open to this machine"
    logger.info("front door on http://%s:%s, %s", options.host, address_of(server)[1], guarded)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    serve(server, app, stop, port)
    logger.info("front door ended")
    return 0


if __name__ == "__main__":
    sys.exit(main())
