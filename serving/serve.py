"""From a clean checkout to a server that answers, and back to nothing."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import yaml
from rich.console import Console
from rich.markup import escape

from archive.inputs import CONFIG, why_stale
from archive.programs import environment, python
from archive.store import (
    BESIDE,
    MODEL_NAME,
    ROOT,
    SAMPLES,
    TYPES_NAME,
    archive_path,
    default_version,
    release_folder,
    released_versions,
)
from archive.verify import read_release
from handler.resources import plan
from rollout.errors import RolloutError
from rollout.in_use import guarded, register
from rollout.register import Log
from rollout.signers import Signers
from rollout.state import DEPLOYMENT_FILE, Phase, check_archives, read_deployment
from rollout.types import types_to_serve
from rollout.unwatched import Lease, take_back_at_start
from serving import torchserve
from serving.java import find_java_home
from serving.older import older
from serving.ready import RefusedError, wait_front_door, wait_ready
from serving.torchserve import Places, Ports

console = Console(soft_wrap=True, highlight=False)
START_SECONDS = 300
WATCH_SECONDS = 0.5
LOG_LINES = 15
LOOPBACK = "127.0.0.1"
FRONT_DOOR = "the front door"
DOOR_SECONDS = 60
PASSPORT_KEYS, DRIFT_FILE = "passport-keys", "drift.json"
END_SECONDS = 10.0
DOOR_END_SECONDS = 15.0  # beyond its drain, in which it says what it cut off; only then TorchServe goes
CONSOLE_BYTES = 2**20


class StartError(Exception):
    """The server did not start; the message says what to do."""


@dataclass(frozen=True)
class Door:
    """How the front door listens. ``api_keys``: a file of keys, needed as soon as ``host`` is not loopback;
    ``origins``: of pages elsewhere that may call it; ``drain_seconds``: how long answers in work are waited for at the
    end. ``log_stdout``: its lines go to standard output, not into web.log. ``grpc_port``: None: no gRPC. ``otlp``: a
    collector of traces; None: none. ``jobs``: the folder of jobs, None: there are none; ``jobs_keep`` and
    ``webhook_hosts``: as the front door takes them."""

    host: str
    port: int
    api_keys: Path | None
    origins: tuple[str, ...] = ()
    drain_seconds: float = 30.0
    log_format: str = "text"
    log_level: str = "info"
    log_stdout: bool = False
    grpc_port: int | None = None
    otlp: str | None = None
    jobs: Path | None = None
    jobs_keep: str = "0"
    webhook_hosts: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        shown = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104 - a comparison
        return f"http://{f'[{shown}]' if ':' in shown else shown}:{self.port}/"


@dataclass
class Running:
    """What this command has started, in the order of starting."""

    places: Places
    drain_seconds: float = 30.0
    processes: list[tuple[str, subprocess.Popen[bytes]]] = field(default_factory=list)

    def ended(self) -> str | None:
        """The name of a process that has ended by itself."""
        return next((name for name, process in self.processes if process.poll() is not None), None)

    def stop(self) -> None:
        for name, process in reversed(self.processes):
            if name == "TorchServe":
                torchserve.stop(process, self.places)
            else:
                _end(process, seconds=self.drain_seconds + DOOR_END_SECONDS)
        shutil.rmtree(self.places.temporary, ignore_errors=True)  # also where TorchServe was never started


def _end(
    process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGTERM, seconds: float = END_SECONDS
) -> None:
    process.send_signal(number)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def check_ports(named: dict[str, int]) -> None:
    """Raises :class:`StartError` where a port (by the option that names it) is in use or named twice."""
    for option, port in named.items():
        if not torchserve.port_is_free(port):
            raise StartError(f"port {port} is in use. Stop what uses it, or choose another one with {option}.")
    if len(set(named.values())) < len(named):
        raise StartError(f"the ports must differ: {', '.join(f'{o} {p}' for o, p in named.items())}")


def _archives(store: Path, told: threading.Event, signers: Signers, model: str = MODEL_NAME) -> list[str]:
    """Packages what is missing or stale; the released versions. Raises ``StartError`` where packaging fails or is told
    to end, and where signatures are required, which only whoever has the key can make."""
    versions = released_versions(store, model)
    paths = {one: archive_path(one, store, model) for one in versions}
    reasons = {one: why_stale(paths[one], release_folder(one, store, model)) for one in versions}
    stale = [one for one, reason in reasons.items() if reason]
    other = "" if model == MODEL_NAME else f"--model {model} "
    if stale and signers.required:
        raise StartError(
            f"signed archives are required and {paths[stale[0]].name} is not to be had: "
            f"{reasons[stale[0]]}. Make it where the key is: "
            f"./scripts/package {' '.join(stale)} {other}--model-store {shlex.quote(str(store))} --sign KEY"
        )
    for one in stale:
        console.print(f"packaging {escape(paths[one].name)}: {escape(reasons[one])}")
    if stale:
        # In a process of its own: what packaging needs (torch above all) would otherwise stay in this one's memory, and
        # take its time to be imported at every start.
        command = python("-m", "archive", *stale, "--model-store", str(store.resolve()), "--model", model)
        process = subprocess.Popen(command, cwd=ROOT, env=environment(), start_new_session=True)
        while process.poll() is None:
            if told.wait(WATCH_SECONDS):
                _end(process, signal.SIGINT)  # which lets it remove its temporary files
        if process.returncode:
            raise StartError("packaging failed, its message is above.")
    return versions


def _check_signed(signers: Signers, archives: Mapping[str, str], store: Path, deployed: Mapping[str, str]) -> None:
    """``archives``: file names by version; ``deployed``: digests by version, of what was deployed. Raises
    :class:`UntrustedError`; says in a line that nobody asked, where nobody did."""
    if not signers.required:
        console.print("[yellow]warning:[/] signatures of archives are not checked (--require-signed)")
        return
    for version, name in archives.items():
        line = signers.check(read_release(store / name, deployed.get(version, "")), name)
        console.print(escape(line))


def _to_serve(places: Places, told: threading.Event, signers: Signers) -> tuple[dict[str, str], str]:
    """Archives by version and the default: what ``scripts/deploy`` has deployed, else what is released."""
    store = places.model_store
    take_back_at_start(places.state, store, console.print)
    deployment = read_deployment(places.state)
    if deployment is None:
        archives = {version: archive_path(version, store).name for version in _archives(store, told, signers)}
        _check_signed(signers, archives, store, {})
        return archives, default_version(store)
    with contextlib.suppress(OSError), guarded(store):  # one that is only read here cannot lose an archive by us
        register(store, places.state)
    check_archives(deployment, store, places.state)
    for line in older(deployment, store, places.state):
        console.print(escape(line))
    others = ", ".join(one.version for one in deployment.served) or "none"
    console.print(escape(f"deployed by scripts/deploy: {deployment.live.version} is live, beside it {others}"))
    if deployment.change:
        on_trial = Phase(deployment.change.phase).on_trial  # else it was taken back above
        said = (
            "is on trial: who watches loads it again" if on_trial else "was left unfinished; the next one cleans it up"
        )
        console.print(escape(f"a deploy of {deployment.change.subject.version} {said}"))
    archives = {one.version: one.archive for one in deployment.loaded}
    _check_signed(signers, archives, store, {one.version: one.sha256 for one in deployment.loaded})
    return archives, deployment.live.version


def _beside_to_serve(places: Places, told: threading.Event, signers: Signers, model: str) -> dict[str, str]:
    """The archive of ``model`` by version, empty where there is none: what ``scripts/deploy`` has deployed; of the
    classifier else the latest that is released. A demonstration is served where somebody has deployed it."""
    store = places.model_store
    deployed = types_to_serve(places.state, store, model)
    if deployed is not None:
        archives = {deployed.version: deployed.archive}
        _check_signed(signers, archives, store, {deployed.version: deployed.sha256})
        return archives
    if model != TYPES_NAME:
        return {}
    archives = {one: archive_path(one, store, model).name for one in _archives(store, told, signers, model)[-1:]}
    if archives:
        _check_signed(signers, archives, store, {})
    return archives


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
    archives, default = _to_serve(places, told, signers)
    beside = {model: _beside_to_serve(places, told, signers, model) for model in BESIDE}
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
    command = python("-m", "web.server", "--host", door.host, "--port", str(door.port))
    command += [] if door.grpc_port is None else ["--grpc-port", str(door.grpc_port)]
    command += ["--otlp", door.otlp] if door.otlp else []
    command += ["--inference-url", f"http://127.0.0.1:{ports.inference}"]
    command += ["--management-url", f"http://127.0.0.1:{ports.management}"]
    command += ["--key-file", str(running.places.key_file), "--model", MODEL_NAME, "--samples", str(SAMPLES)]
    command += ["--deployment", str(running.places.state / DEPLOYMENT_FILE)]
    command += ["--passport-keys", str(running.places.state / PASSPORT_KEYS)]
    command += ["--drift", str(running.places.state / DRIFT_FILE)]
    command += ["--api-keys", str(door.api_keys.resolve())] if door.api_keys else []
    if door.jobs is not None:
        command += ["--jobs", str(door.jobs.resolve()), "--jobs-keep", door.jobs_keep]
        command += [word for host in door.webhook_hosts for word in ("--webhook-host", host)]
    command += [word for origin in door.origins for word in ("--allow-origin", origin)]
    command += ["--wanted", str(running.places.wanted), "--drain-seconds", str(door.drain_seconds)]
    command += ["--log-format", door.log_format, "--log-level", door.log_level]
    command += [] if door.log_stdout else ["--log", str(running.places.logs / "web.log")]
    console_log = running.places.logs / "web-console.log"  # what the interpreter itself says of a crash
    if console_log.exists() and console_log.stat().st_size > CONSOLE_BYTES:
        console_log.replace(console_log.with_suffix(".log.1"))
    with console_log.open("ab") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment(), stdout=None if door.log_stdout else output,
            stderr=subprocess.STDOUT, start_new_session=True,
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
