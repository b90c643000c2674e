"""The state of TorchServe's workers, asked for at most once a second however many want to know."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from web.contract.fields import RefusedError
from web.health.fleet import Fleet
from web.way.torchserve import TorchServe
from web.way.wire import TooLateError, UnreachableError

FRESH_SECONDS = 1.0
# A worker that is killed is back in about 3 s, a large network in 10: a request is held that long, no longer.
PATIENCE_SECONDS = 20.0
POLL_SECONDS = 0.25
NO_MODEL = "TorchServe has no such model (yet)"


@dataclass(frozen=True)
class View:
    """``fleet``: None when there is none to be seen, and then ``reason`` says why."""

    fleet: Fleet | None
    reason: str = ""


class Watch:
    """``saw``: is told of each fleet that was seen, by one thread at a time. Safe to use from several threads."""

    def __init__(self, server: TorchServe, saw: Callable[[Fleet], None] = lambda _fleet: None) -> None:
        self._server = server
        self._saw = saw
        self._lock = threading.Lock()
        self._view = View(None, "TorchServe has not been asked yet")
        self._time = -FRESH_SECONDS
        self._last_ready: dict[str, float] = {}  # version -> when a READY worker was last seen

    def view(self, fresh_seconds: float = FRESH_SECONDS, patient: bool = True) -> View:
        """What was seen at most ``fresh_seconds`` ago; a little older while another thread is looking, since a
        management port that hangs must not hold up everyone. ``patient``: whether to wait for that thread where nothing
        was ever seen."""
        if time.monotonic() - self._time <= fresh_seconds:
            return self._view
        waits = patient and (self._view.fleet is None or fresh_seconds < FRESH_SECONDS)
        if not self._lock.acquire(blocking=waits):
            return self._view
        try:
            if time.monotonic() - self._time > fresh_seconds:
                self._view, self._time = self._look(), time.monotonic()
                self._remember()
            return self._view
        finally:
            self._lock.release()

    def ready_workers(self, version: str) -> int:
        """How many workers of ``version`` were READY when last seen; never waits."""
        found = self._view.fleet.find(version) if self._view.fleet else None
        return found.ready if found else 0

    def _look(self) -> View:
        try:
            fleet = self._server.describe()
        except UnreachableError as error:
            return View(None, f"TorchServe cannot be asked: {error}")
        except TooLateError:
            return View(None, "TorchServe's management port does not answer")
        return View(fleet, "" if fleet else NO_MODEL)

    def _remember(self) -> None:
        if self._view.fleet:
            self._saw(self._view.fleet)
        for version in self._view.fleet.versions if self._view.fleet else ():
            if version.ready:
                self._last_ready[version.version] = self._time

    def check_alive(self, version: str | None, since: float) -> None:
        """For a request that waits for its answer since ``since`` (monotonic): raises ``not_ready`` when ``version``
        has had no READY worker for too long, where TorchServe would leave it hanging."""
        fleet = self.view().fleet
        chosen = fleet.find(version) if fleet else None
        if chosen is not None and chosen.ready:
            return
        seen = self._last_ready.get(chosen.version, since) if chosen else since
        if time.monotonic() - max(seen, since) > PATIENCE_SECONDS:
            raise RefusedError("not_ready", "No worker has been ready for a while; try again later.", 10)

    def await_ready(self, version: str | None, seconds: float = PATIENCE_SECONDS) -> bool:
        """Waits until ``version`` has a READY worker; whether it has one after at most ``seconds``."""
        deadline = time.monotonic() + seconds
        while True:
            fleet = self.view(POLL_SECONDS).fleet
            chosen = fleet.find(version) if fleet else None
            if chosen is not None and chosen.ready:
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
