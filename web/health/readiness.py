"""Ready: every wanted worker is READY, and each version has predicted rightly since its workers started.

A real prediction counts; while nobody asks, a known scan is sent as a probe, and never while anyone is served. Being
busy is not being unready. /ping of TorchServe says none of this."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from web.contract.fields import RefusedError
from web.health.fleet import Fleet, Version
from web.health.probe import Probe, ProbeError
from web.health.watch import Watch

logger = logging.getLogger(__name__)
AGAIN_SECONDS = 300.0  # an idle server is probed again after this long
RETRY_SECONDS = 3.0  # after a probe that failed


@dataclass(frozen=True)
class Report:
    """``reasons``: what is lacking, one sentence each; empty when ready."""

    ready: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class _Proof:
    """The processes of which the last prediction was right, and when (monotonic)."""

    generation: frozenset[str]
    time: float


class Readiness:
    """``busy``: whether a client is being served just now. ``candidate``: whether a version (given with the default)
    has yet to prove itself; one that does not start makes nothing unready. Safe to use from several threads."""

    def __init__(
        self,
        watch: Watch,
        probe: Probe,
        busy: Callable[[], bool],
        candidate: Callable[[str, str | None], bool] = lambda _version, _default: False,
    ) -> None:
        self._watch = watch
        self._probe = probe
        self._busy = busy
        self._candidate = candidate
        self._lock = threading.Lock()
        self._proofs: dict[str, _Proof] = {}
        self._failures: dict[str, tuple[str, float]] = {}  # version -> why its last probe failed, and when
        self._probing = False

    def expected(self, version: str | None) -> Version | None:
        """The version about to be asked, as it is now: to be given to :meth:`proven` when its answer was right."""
        fleet = self._watch.view().fleet
        return fleet.find(version) if fleet else None

    def proven(self, version: Version | None) -> None:
        """A prediction of ``version`` came back right."""
        if version is None:
            return
        with self._lock:
            self._proofs[version.version] = _Proof(version.generation, time.monotonic())
            self._failures.pop(version.version, None)

    def report(self) -> Report:
        """What is lacking now. Starts a probe in the background where one is due; does not wait for it."""
        view = self._watch.view()
        if view.fleet is None:
            return Report(False, (view.reason,))
        wanted = self._wanted(view.fleet)
        if not wanted:
            return Report(False, ("no version of the model has a worker",))
        reasons = [reason for version in wanted if (reason := self._lacking(version))]
        self._start_probe(view.fleet)
        return Report(not reasons, tuple(reasons))

    def _wanted(self, fleet: Fleet) -> list[Version]:
        return [v for v in fleet.versions if v.wanted and not self._candidate(v.version, fleet.default)]

    def _lacking(self, version: Version) -> str:
        if not version.complete:
            return f"version {version.version}: {version.ready} of {version.wanted} workers are ready"
        with self._lock:
            proof, failure = self._proofs.get(version.version), self._failures.get(version.version)
        if failure:
            return f"version {version.version}: {failure[0]}"
        if proof is None or not version.generation <= proof.generation:
            return f"version {version.version}: no prediction yet since its workers started"
        return ""

    def _due(self, version: Version) -> bool:
        now = time.monotonic()
        with self._lock:
            proof, failure = self._proofs.get(version.version), self._failures.get(version.version)
        if failure:
            return now - failure[1] > RETRY_SECONDS
        return proof is None or not version.generation <= proof.generation or now - proof.time > AGAIN_SECONDS

    def _start_probe(self, fleet: Fleet) -> None:
        """One version at a time, in a thread of its own, and only while nobody is served."""
        if self._busy() or any(version.pending for version in fleet.versions):
            return
        due = next((v for v in fleet.versions if v.wanted and v.complete and self._due(v)), None)
        with self._lock:
            if due is None or self._probing:
                return
            self._probing = True
        threading.Thread(target=self._run_probe, args=(due,), daemon=True, name="probe").start()

    def _run_probe(self, version: Version) -> None:
        try:
            self._probe.run(version)
            self.proven(version)
        except (ProbeError, RefusedError) as error:
            logger.warning("probe of version %s failed: %s", version.version, error)
            with self._lock:
                self._failures[version.version] = (f"the probe failed: {error}", time.monotonic())
        finally:
            with self._lock:
                self._probing = False
