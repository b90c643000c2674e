"""From a clean checkout to a server that answers, and back to nothing."""

from __future__ import annotations

import contextlib
import shlex
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import yaml
from rich.console import Console
from rich.markup import escape

from archive.inputs import CONFIG
from archive.programs import environment
from archive.store import BESIDE, MODEL_NAME, ROOT, SAMPLES
from handler.resources import plan
from rollout.errors import RolloutError
from rollout.register import Log
from rollout.signers import Signers
from rollout.unwatched import Lease
from serving import torchserve
from serving.chosen import beside_to_serve, to_serve
from serving.door import Door
from serving.java import find_java_home
from serving.ports import port_is_free
from serving.ready import RefusedError, wait_front_door, wait_ready
from serving.running import Running, StartError
from serving.torchserve import MANY_THREADS, Places, Ports

console = Console(soft_wrap=True, highlight=False)
START_SECONDS = 300
WATCH_SECONDS = 0.5
LOG_LINES = 15
LOOPBACK = "127.0.0.1"
FRONT_DOOR = "the front door"
DOOR_SECONDS = 60
CONSOLE_BYTES = 2**20


def check_ports(named: dict[str, int]) -> None:
    """Raises :class:`StartError` where a port (by the option that names it) is in use or named twice."""
    for option, port in named.items():
        if not port_is_free(port):
            raise StartError(f"port {port} is in use. Stop what uses it, or choose another one with {option}.")
    if len(set(named.values())) < len(named):
        raise StartError(f"the ports must differ: {', '.join(f'{o} {p}' for o, p in named.items())}")


def _tail(path: Path) -> str:
    lines = path.read_text(errors="replace").splitlines()[-LOG_LINES:] if path.exists() else []
    return "\n".join(f"  {line}" for line in lines)


@contextlib.contextmanager
def until_told() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set. A second signal changes nothing: the end is under way."""
    told = threading.Event()

    def tell(_number: int, _frame: FrameType | None) -> None:
        told.set()

    before = {number: signal.signal(number, tell) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _start_torchserve(running: Running, ports: Ports, told: threading.Event, signers: Signers) -> None:
    places = running.places
    java_home = find_java_home(console.print, ROOT / "constraints.txt")
    archives, default = to_serve(places, told, signers)
    beside = {model: beside_to_serve(places, told, signers, model) for model in BESIDE}
    layout = plan()
    models = torchserve.snapshot(archives, default, layout, yaml.safe_load(CONFIG.read_text(encoding="utf-8")), beside)
    settings = torchserve.write_settings(places, ports, models)
    each = f"{layout.threads} threads, {layout.at_once} requests at once"
    console.print(escape(f"starting TorchServe: {layout.workers} worker a version, {each}"))
    log = Log(places.logs / "torchserve.log")
    process = torchserve.start(places, settings, java_home, layout)
    running.processes.append(("TorchServe", process))
    alive = lambda: process.poll() is None and not told.is_set()  # noqa: E731
    try:
        wait_ready(places, ports, archives, alive, log.refusal, START_SECONDS)
        for model, own in beside.items():
            wait_ready(places, ports, own, alive, log.refusal, START_SECONDS, model)
    except RefusedError as error:
        raise StartError(f"{error} (of {', '.join(archives.values())}; log: {log.path})") from error


def _start_front_door(running: Running, ports: Ports, door: Door) -> None:
    console_log = running.places.logs / "web-console.log"  # what the interpreter itself says of a crash
    if console_log.exists() and console_log.stat().st_size > CONSOLE_BYTES:
        console_log.replace(console_log.with_suffix(".log.1"))
    with console_log.open("ab") as output:
        process = subprocess.Popen(
            door.command(running.places, ports), cwd=ROOT, env={**environment(), **MANY_THREADS},
            stdout=None if door.log_stdout else output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    running.processes.append((FRONT_DOOR, process))
    wait_front_door(door.url, lambda: process.poll() is None, DOOR_SECONDS)


def _keep_watch(state: Path, told: threading.Event) -> None:
    """A version on trial whose deploy was killed is taken back. In a thread: that may take as long as a drain."""
    lease = Lease(state, lambda line: console.print(escape(line)))
    while not told.wait(WATCH_SECONDS):
        lease.look()


def _greet(places: Places, ports: Ports, door: Door) -> None:
    token = f"$({shlex.quote(str(ROOT / 'scripts' / 'token'))} --state {shlex.quote(str(places.state))})"
    url = f"http://127.0.0.1:{ports.inference}/predictions/{MODEL_NAME}"
    console.print(escape(f"BrainSeg is ready: {door.url}"), style="bold green")
    console.print("Research use only. Not a medical device. The page is there; TorchServe itself answers to:")
    sample = shlex.quote(str(SAMPLES / "lesion.png"))
    print(f'curl -sS -H "Authorization: Bearer {token}" -X POST -T {sample} {url}', flush=True)


def run(running: Running, ports: Ports, door: Door, told: threading.Event, signers: Signers | None = None) -> None:
    """Starts everything and waits for the end. Raises ``StartError``, or ``RuntimeError`` when a part ends by itself
    later."""
    try:
        _start_torchserve(running, ports, told, signers or Signers())
        _start_front_door(running, ports, door)
    except StartError:
        if not told.is_set():
            raise
        return
    except (RuntimeError, ValueError, OSError, RolloutError) as error:
        if told.is_set():
            return
        started = [name for name, _ in running.processes]
        log = running.places.logs / ("web.log" if FRONT_DOOR in started else "torchserve.log")
        raise StartError(f"{error}\nLast lines of {log}:\n{_tail(log)}") from error
    _greet(running.places, ports, door)
    threading.Thread(target=_keep_watch, args=(running.places.state, told), daemon=True).start()
    while not told.wait(WATCH_SECONDS):
        if name := running.ended():
            raise RuntimeError(f"{name} ended by itself; its log is in {running.places.logs}. Start again.")
