"""``kill -9`` of the worker, TorchServe's JVM and the front door under load: a patient client gets every answer, the
right one. What ends with a part that died is started again, as a service manager would (deploy/)."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import psutil
import requests

from brainseg_client import Client
from prove.asking import get
from prove.drawn.pictures import png
from prove.proof import Claims, Ground
from prove.server import Server
from prove.stand import served
from samples.phantom import draw

KILLS = "kills"
ROLES = ("worker", "jvm", "front door")
CLIENTS = 4
PATIENCE_SECONDS = 300.0
BETWEEN = (1.0, 4.0)  # seconds from one that serves again to the next kill
SCANS = 12


@dataclass(eq=False)
class Reader(threading.Thread):
    """A client that asks for one scan after the other until it is told to stop. ``gap``: the longest that it waited for
    an answer, seconds."""

    url: str
    scans: list[bytes]
    right: list[int]  # tumour pixels of each scan
    own: int  # its number
    answers: int = 0
    gap: float = 0.0
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self._enough = threading.Event()

    def run(self) -> None:
        """Until :meth:`stop`."""
        client, number = Client(self.url, patience=PATIENCE_SECONDS), 0
        while not self._enough.is_set():
            which, begin = number % len(self.scans), time.monotonic()
            number += 1
            try:
                # Other bytes after a picture's end make another scan of the same picture: one over which two workers
                # died would be a suspect, and refused.
                found = client.segment(self.scans[which] + bytes([self.own]) + number.to_bytes(4, "big"), outputs=())
            except Exception as error:  # whatever it is, an answer is lost
                self.faults.append(f"{type(error).__name__}: {error}")
                continue
            self.gap = max(self.gap, time.monotonic() - begin)
            self.answers += 1
            if found.tumor_pixels != self.right[which]:
                self.faults.append(f"scan {which}: {found.tumor_pixels} tumour pixels, expected {self.right[which]}")

    def stop(self) -> None:
        """Ends it once it has its answer."""
        self._enough.set()
        self.join(PATIENCE_SECONDS + 60)
        if self.is_alive():
            self.faults.append("a client hangs")


class Kept:
    """What came of kills under load in all turns, as it is ``kept`` for another. ``faults``, ``answers``, ``gap``: of
    all readers."""

    def __init__(self, kept: dict[str, Any]) -> None:
        self._kept = kept
        self._kinds: dict[str, int] = kept.setdefault("kinds", {})
        self.faults: list[str] = kept.setdefault("faults", [])
        kept.setdefault("done", 0)

    def killed(self, kind: str) -> None:
        """One more."""
        self._kinds[kind] = self._kinds.get(kind, 0) + 1
        self._kept["done"] += 1

    def read(self, readers: Sequence[Reader]) -> None:
        """Adds what ``readers``, which have ended, came to."""
        self.faults += [fault for reader in readers for fault in reader.faults]
        self._kept["answers"] = self.answers + sum(reader.answers for reader in readers)
        self._kept["gap"] = max(self.gap, *(reader.gap for reader in readers))

    @property
    def done(self) -> int:
        """How many kills."""
        return int(self._kept["done"])

    @property
    def told(self) -> str:
        """How many of what."""
        return ", ".join(f"{kind} {count}" for kind, count in self._kinds.items())

    @property
    def answers(self) -> int:
        """That came."""
        return int(self._kept.get("answers", 0))

    @property
    def gap(self) -> float:
        """The longest that a reader waited for one, seconds."""
        return float(self._kept.get("gap", 0.0))


class Manager(threading.Thread):
    """Starts ``server`` again whenever it has ended, until told to stop."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self._server, self._enough, self.starts = server, threading.Event(), 0

    def run(self) -> None:
        """Until :meth:`stop`."""
        while not self._enough.wait(0.2):
            process = self._server.process
            if process is not None and process.poll() is not None:
                self.starts += 1
                self._server.start()

    def stop(self) -> None:
        """Waits for a start under way."""
        self._enough.set()
        self.join()


def serves(server: Server) -> bool:
    """Whether every part is there and the front door says so."""
    try:
        ready = get(f"{server.door}/readyz", timeout=30).status_code == 200
        return ready and set(ROLES) <= set(server.processes())
    except (requests.RequestException, psutil.Error):
        return False


def kill(server: Server, role: str) -> None:
    """``kill -9``."""
    os.kill(server.processes()[role].pid, signal.SIGKILL)


def _wait(server: Server, gone: float = 300.0) -> bool:
    deadline = time.monotonic() + gone
    while not serves(server):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def prove(server: Server, ground: Ground, claims: Claims) -> None:
    """Kills in turn, at moments that the seed chooses."""
    scans = [png(draw(number, 0.08).image) for number in range(SCANS)]
    alone = Client(server.door, patience=PATIENCE_SECONDS)
    right = [alone.segment(scan, outputs=()).tumor_pixels or 0 for scan in scans]
    readers, manager = [Reader(server.door, scans, right, own) for own in range(CLIENTS)], Manager(server)
    for thread in (*readers, manager):
        thread.start()
    kept = Kept(ground.kept)
    stuck: list[str] = ground.kept.setdefault("stuck", [])
    try:
        while (number := kept.done) < ground.effort[KILLS] and not ground.late:
            if not _wait(server):
                stuck.append(f"after kill {number}")
                break
            chance = random.Random(f"{ground.seed}/{number}")  # noqa: S311  to be made again, not to be secret
            time.sleep(chance.uniform(*BETWEEN))
            role = ROLES[number % len(ROLES)] if number < len(ROLES) else chance.choice(ROLES)
            kill(server, role)
            kept.killed(role)
            time.sleep(0.5)  # until readiness can have noticed
            ground.tell(f"kill {number + 1}: {role}; {sum(one.answers for one in readers)} answers")
        _wait(server)
    finally:
        for reader in readers:
            reader.stop()
        manager.stop()
    kept.read(readers)
    claims.shown(f"kills under load of {CLIENTS} clients ({kept.told})", kept.done, "kills")
    claims.at_least("answers that came", CLIENTS, kept.answers, "answers")
    claims.none("answers lost or wrong", kept.faults, "answers")
    claims.none("times it did not come back within 300 s", stuck)
    claims.shown("longest that a client waited for an answer", round(kept.gap, 1), "s")


def run(ground: Ground, claims: Claims) -> None:
    """On a server of its own."""
    with served(ground.store, ground.folder) as server:
        prove(server, ground, claims)
