"""Ready: every worker that the live version should have is READY, it has predicted rightly since they started, and its
requests come further. What another version lacks is degraded, not unready: nobody is sent there unasked.

A real prediction counts; a known scan is sent as a probe where none came, and under load too, but seldom. Being busy is
not being unready. /ping of TorchServe says none of this."""

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
from web.way.gate import Gate
from web.way.wanted import Wanted

logger = logging.getLogger(__name__)
AGAIN_SECONDS = 300.0  # an idle server is probed again after this long
RETRY_SECONDS = 3.0  # after a probe that failed
LOAD_SECONDS = 10.0  # between two probes while anyone is served
STILL_SECONDS = 60.0  # a slice takes a second on the slowest machines, decoding the largest scan some ten


@dataclass(frozen=True)
class Report:
    """``reasons``: what the live version lacks, one sentence each, empty when ready; ``degraded``: what others lack."""

    ready: bool
    reasons: tuple[str, ...]
    degraded: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Proof:
    """The processes of which the last prediction was right, and when (monotonic)."""

    generation: frozenset[str]
    time: float


class Readiness:
    """``candidate``: whether a version (given with the default) has yet to prove itself; one that does not start
    degrades nothing. Safe to use from several threads."""

    def __init__(
        self,
        watch: Watch,
        probe: Probe,
        gate: Gate,
        wanted: Wanted,
        candidate: Callable[[str, str | None], bool] = lambda _version, _default: False,
    ) -> None:
        self._watch = watch
        self._probe = probe
        self._gate = gate
        self._wanted = wanted
        self._candidate = candidate
        self._lock = threading.Lock()
        self._proofs: dict[str, _Proof] = {}
        self._failures: dict[str, tuple[str, float]] = {}  # version -> why its last probe failed, and when
        self._probing = False
        self._probed = -LOAD_SECONDS

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
        """What is lacking now. Starts a probe in the background where one is due; waits for nothing."""
        view = self._watch.view(patient=False)
        if view.fleet is None:
            return Report(False, (view.reason,))
        live = view.fleet.find(None)
        if live is None or not live.wanted:
            return Report(False, ("no version of the model has a worker",))
        self._start_probe(view.fleet)
        reason = self._lacking(live)
        others = (self._lacking(one) for one in self._expected(view.fleet) if one.version != live.version)
        return Report(not reason, (reason,) if reason else (), tuple(filter(None, others)))

    def degraded_samples(self) -> list[tuple[dict[str, str], float]]:
        """For a gauge: a version's label, and 1 where it lacks something."""
        fleet = self._watch.view(patient=False).fleet
        versions = self._expected(fleet) if fleet else []
        return [({"model_version": one.version}, float(bool(self._lacking(one)))) for one in versions]

    def _expected(self, fleet: Fleet) -> list[Version]:
        """The versions that should answer."""
        return [v for v in fleet.versions if v.wanted and not self._candidate(v.version, fleet.default)]

    def _lacking(self, version: Version) -> str:
        if not version.complete:
            return f"version {version.version}: {version.ready} of {version.wanted} workers are ready"
        still = self._wanted.stands_still(version.version)
        if still > STILL_SECONDS:
            return f"version {version.version}: its requests have not come further for {still:.0f} s"
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
        """One version at a time, in a thread of its own, the live one first."""
        order = sorted(fleet.versions, key=lambda version: version.version != fleet.default)
        due = next((v for v in order if v.wanted and v.complete and self._due(v)), None)
        busy = self._gate.running > 0 or any(version.pending for version in fleet.versions)
        with self._lock:
            if due is None or self._probing or (busy and time.monotonic() - self._probed < LOAD_SECONDS):
                return
            self._probing, self._probed = True, time.monotonic()
        threading.Thread(target=self._run_probe, args=(due,), daemon=True, name="probe").start()

    def _run_probe(self, version: Version) -> None:
        busy = self._gate.busy(version.version)
        try:
            self._probe.run(version)
            self.proven(version)
        except (ProbeError, RefusedError) as error:
            if busy or self._gate.busy(version.version):
                return  # it may have waited behind others, which says nothing
            logger.warning("probe of version %s failed: %s", version.version, error)
            with self._lock:
                self._failures[version.version] = (f"the probe failed: {error}", time.monotonic())
        finally:
            with self._lock:
                self._probing = False
