"""A machine that fails: full disk, state folder that cannot be written, clock set back, no memory left, port taken.
Each is said in a line without a traceback, and nothing that was accepted is lost."""

from __future__ import annotations

import contextlib
import io
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import numpy as np
import requests
import tifffile

from archive.programs import python
from archive.store import ROOT
from prove.asking import get, post
from prove.disks import NoDiskError, remount, small_disk
from prove.drawn.whole import whole_pictures
from prove.killed import serves
from prove.proof import Claims, Ground, Proof
from prove.scarce import little_memory
from prove.server import Server, environment
from prove.stand import served
from prove.ways.http import code_of
from serving.ports import free_port

REPEATS = "repeats"  # requests while a fault lasts
BACK = "-3d"
_FAKETIME = "/usr/lib/*/faketime/libfaketimeMT.so.1"  # of Debian's package
BACK_SECONDS = 300.0


def refused(server: Server) -> str:
    """What a start that cannot succeed says: its last line; ``started`` or ``traceback`` where that is what came."""
    try:
        server.start()
    except RuntimeError as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        return "traceback" if "Traceback" in str(error) else lines[-1]
    server.kill()
    return "started"


def clear(claim: str, said: str, words: tuple[str, ...], claims: Claims) -> None:
    """``said`` is a line with all of ``words``."""
    fits = all(word in said for word in words)
    claims.equal(claim, "says " + ", ".join(repr(word) for word in words), said if not fits else _words(words))


def _words(words: tuple[str, ...]) -> str:
    return "says " + ", ".join(repr(word) for word in words)


def port_taken(ground: Ground, claims: Claims) -> None:
    """Of each option."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        plain = Server(ground.store, ground.folder / "taken" / "state")
        plain.state.parent.mkdir(parents=True)
        for option, server in (
            ("--port", replace(plain, port=port)),
            ("--inference-port", replace(plain, inference_port=port)),
            ("--management-port", replace(plain, management_port=port)),
        ):
            clear(f"{option} {port} taken", refused(server), (option, str(port)), claims)


def read_only(ground: Ground, claims: Claims) -> None:
    """A state folder on a disk that is mounted so; permissions alone do not stop root."""
    claim = "a state folder that cannot be written"
    try:
        with small_disk(8) as disk:
            remount(disk, "ro")
            server = Server(ground.store, disk)
            clear(claim, refused(server), (str(disk), "--state"), claims)
            server.output.unlink()  # it lies beside
    except NoDiskError as error:
        claims.skipped(claim, str(error))


def _fill(disk: Path) -> Path:
    """A file that takes all that is left."""
    path = disk / "filling"
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(65536)):
            pass
    return path


def _post(door: str, scan: bytes) -> str:
    try:
        reply = post(f"{door}/api/v1/segment?outputs=none", data=scan, timeout=600)
    except requests.RequestException as error:
        return type(error).__name__
    return code_of(reply)


def full_disk(ground: Ground, claims: Claims) -> None:
    """State and jobs on a disk that fills while it serves; then there is room again."""
    try:
        with small_disk(400) as disk, served(ground.store, disk, jobs=True) as server:
            _full(server, disk, ground.effort[REPEATS], claims)
    except NoDiskError as error:
        claims.skipped("a disk that fills", str(error))


def _full(server: Server, disk: Path, count: int, claims: Claims) -> None:
    scan, jobs = whole_pictures()["png-grey"], f"{server.door}/api/v1/jobs"
    accepted = [post(f"{jobs}?outputs=none", data=scan + bytes([n]), timeout=600) for n in range(3)]
    filling = _fill(disk)
    codes = [_post(server.door, scan) for _ in range(count)]
    claims.equal("disk full: requests answered", count, sum(code == "ok" for code in codes), "requests")
    late = post(f"{jobs}?outputs=none", data=scan * 200, timeout=600)
    told = "ok" if late.status_code == 202 else code_of(late)
    claims.one_of(
        "disk full: one more job is taken, or refused for now",
        ["202 ok", "503 queue_full"],
        f"{late.status_code} {told}",
    )
    filling.unlink()
    results = [_result(server.door, str(reply.json()["id"])) for reply in accepted]
    claims.equal("jobs accepted before that have their result", True, results == [200] * 3)
    claims.equal("a scan afterwards", "ok", _post(server.door, scan))


def _job(url: str, scan: bytes) -> str:
    reply = post(f"{url}?outputs=none", data=scan, timeout=600)
    reply.raise_for_status()
    return str(reply.json()["id"])


def _result(door: str, identity: str) -> int:
    deadline = time.monotonic() + BACK_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(requests.RequestException):
            reply = get(f"{door}/api/v1/jobs/{identity}/result", timeout=60)
            if reply.status_code != 409:
                return reply.status_code
        time.sleep(0.3)
    return 0


@contextlib.contextmanager
def front_under(variables: Mapping[str, str], server: Server, folder: Path) -> Iterator[str]:
    """Another front door before ``server``'s TorchServe, with jobs and these ``variables``; its address."""
    port = free_port()
    behind = ["--inference-url", f"http://127.0.0.1:{server.inference_port}", "--management-url", server.management]
    own = ["--key-file", str(server.key_file), "--port", str(port), "--jobs", str(folder / "jobs")]
    command = python("-m", "web.server", *behind, *own)
    with (folder / "front.out").open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**environment(), **variables}, stdout=output, stderr=subprocess.STDOUT
        )
    door = f"http://127.0.0.1:{port}"
    try:
        if not _ready(door):
            raise RuntimeError(f"the front door did not start: {(folder / 'front.out').read_text()[-300:]}")
        yield door
    finally:
        process.terminate()
        try:
            process.wait(120)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ready(door: str) -> bool:
    deadline = time.monotonic() + BACK_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(requests.RequestException):
            if get(f"{door}/readyz", timeout=60).status_code == 200:
                return True
        time.sleep(0.3)
    return False


def clock_back(ground: Ground, claims: Claims) -> None:
    """Of the front door, by libfaketime: keys, quotas and jobs are there. A JVM does not start under it."""
    claim = f"clock of the front door set back ({BACK}) while it serves"
    library = next(iter(sorted(Path("/").glob(_FAKETIME[1:]))), None)
    if library is None:
        claims.skipped(claim, "libfaketime is not here (Debian: apt-get install faketime)")
        return
    folder = ground.folder / "clock"
    folder.mkdir(parents=True)
    file = folder / "time"
    file.write_text("+0\n")
    variables = {"LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(file), "FAKETIME_NO_CACHE": "1"}
    variables |= {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}
    scan = whole_pictures()["png-grey"]
    with served(ground.store, folder / "behind") as server, front_under(variables, server, folder) as door:
        jobs = f"{door}/api/v1/jobs"
        before = [_job(jobs, scan + bytes([number])) for number in (1, 2)]
        then = _date(door)
        file.write_text(f"{BACK}\n")
        codes = [_post(door, scan) for _ in range(ground.effort[REPEATS])]
        claims.at_least("seconds by which its answers' Date went back", 86400, then - _date(door), "s")
        claims.equal(f"{claim}: requests answered", len(codes), sum(code == "ok" for code in codes), "requests")
        after = _job(jobs, scan + b"3")
        results = [_result(door, identity) for identity in [*before, after]]
        claims.equal("jobs from before and after have their result", True, results == [200] * 3)
        claims.equal("it is ready", True, _ready(door))


def _date(door: str) -> float:
    """Seconds since 1970, as the front door has it."""
    return parsedate_to_datetime(get(f"{door}/livez", timeout=60).headers["Date"]).timestamp()


def large() -> bytes:
    """A stack that needs some hundred MiB of a worker."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.zeros((30, 1500, 1500, 3), np.uint8), photometric="rgb", compression="zlib")
    return buffer.getvalue()


def no_memory(ground: Ground, claims: Claims) -> None:
    """The worker meets its limit in a large scan."""
    scan = whole_pictures()["png-grey"]
    with served(ground.store, ground.folder / "memory") as server:
        with little_memory(server.processes()["worker"], 24) as way:
            told = _post(server.door, large())
            honest = ["ok", "out_of_memory", *(["worker_lost"] if way == "cgroup" else [])]
            claims.one_of(f"no memory left ({way}): the large scan is answered, or refused as what it is", honest, told)
            deadline = time.monotonic() + BACK_SECONDS
            while (code := _post(server.door, scan)) != "ok" and time.monotonic() < deadline:
                time.sleep(0.5)
            claims.equal("a small scan is answered, after a new worker if need be", "ok", code)
        claims.equal("it is ready", True, serves(server))


FAULTS: tuple[Callable[[Ground, Claims], None], ...] = (port_taken, read_only, full_disk, clock_back, no_memory)


def run(ground: Ground, claims: Claims) -> None:
    """One fault after the other, as far as this turn's time goes; one that ends with an error does not keep the next
    from being tried."""
    rows: dict[str, Any] = ground.kept.setdefault("rows", {})
    count = ground.effort[REPEATS]
    if ground.kept.setdefault("repeats", count) != count:
        rows.clear()  # of fewer requests
        ground.kept["repeats"] = count
    for fault in FAULTS:
        name = fault.__name__
        if name not in rows and not ground.late:
            own = Claims(claims.part, claims.seed, claims.command)
            try:
                fault(ground, own)
            except (RuntimeError, OSError, requests.RequestException) as error:
                own.none(f"{name} ran to its end", [f"{type(error).__name__}: {error}"[:400]])
            rows[name] = [asdict(row) for row in own.rows]
            ground.tell(f"{name}: {sum(row.passed is False for row in own.rows)} of {len(own.rows)} claims failed")
        if name in rows:
            claims.rows += [Proof(**row) for row in rows[name]]
        else:
            claims.skipped(name.replace("_", " "), "not begun")
    ground.kept["done"] = count if len(rows) == len(FAULTS) else 0
