"""The parts of the front door, put together once for each application."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from web.access.origins import Origins
from web.access.quota import Quota
from web.access.who import Access
from web.contract.fields import RefusedError
from web.edge.admission import Admission
from web.edge.edge import Edge
from web.health.cards import Cards
from web.health.drift import Drift
from web.health.means import show_means
from web.health.metrics import Metrics, build_version
from web.health.probe import Probe
from web.health.readiness import Readiness
from web.health.restarts import Restarts
from web.health.standing import Standings
from web.health.watch import Watch
from web.settings import Settings
from web.shares.shadow import Shadow
from web.shares.shares import Shares
from web.shares.trials import Trials
from web.traces.spans import Traces, open_traces
from web.types.entrance import Shared, Types, open_regions, open_types
from web.way.forward import Forward
from web.way.gate import Gate
from web.way.passports import Passports
from web.way.torchserve import TorchServe
from web.way.wanted import Wanted


@dataclass(frozen=True)
class Door:
    """What the routes and the connections work with. ``types``, ``regions``: the models beside the segmentation.
    ``ending``: set when what is in work has to end."""

    settings: Settings
    access: Access
    origins: Origins
    edge: Edge
    gate: Gate
    watch: Watch
    cards: Cards
    standings: Standings
    readiness: Readiness
    forward: Forward
    metrics: Metrics
    passports: Passports
    drift: Drift
    shares: Shares
    shadow: Shadow
    traces: Traces
    types: Types
    regions: Types
    ending: threading.Event

    def beside(self, model: str | None) -> Types | None:
        """The model that was named; None for the segmentation itself. Raises ``model_not_found`` for one that does not
        segment."""
        if model is None or model == self.settings.model:
            return None
        if model == self.regions.model:
            return self.regions
        known = f"{self.settings.model} or {self.regions.model}"
        raise RefusedError("model_not_found", f"No model {model[:40]!r}; expected {known}.")


def open_door(settings: Settings) -> Door:
    """Connects nothing yet: TorchServe may still be starting. Raises ``OSError`` or ``ValueError`` for a file of API
    keys, a key for passports or an origin that cannot be used."""
    bounds, metrics, ending = settings.bounds, Metrics(), threading.Event()
    origins = Origins(settings.origins)
    access = Access(settings.api_keys, origins)
    edge = Edge(bounds, Admission(bounds, access, Quota(bounds.rate_per_minute)), metrics, origins)
    traces = open_traces(settings.otlp, build_version())
    server = TorchServe(settings, traces)
    show_means(metrics, server, settings.state)
    watch, cards, wanted = Watch(server, Restarts(metrics)), Cards(server), Wanted(settings.wanted)
    gate = Gate(bounds, watch.ready_workers)
    standings = Standings(settings.deployment)
    readiness = Readiness(watch, Probe(server, cards, settings.samples), gate, wanted, standings.candidate)
    drift = Drift(settings.drift, lambda version: _card(watch, cards, version))
    forward = Forward(server, watch, gate, wanted, bounds, metrics.count_retry, ending)
    trials = Trials(settings.deployment.parent if settings.deployment else None)
    shadow = Shadow(server, watch, gate, wanted, trials, metrics, ending)
    shares = Shares(trials, watch, metrics, shadow.offer)
    beside = Shared(settings, traces, metrics, ending)
    door = Door(
        settings, access, origins, edge, gate, watch, cards, standings, readiness, forward, metrics,
        Passports(settings.passport_keys), drift, shares, shadow, traces, open_types(beside), open_regions(beside),
        ending,
    )  # fmt: skip
    _gauges(door)
    return door


def _card(watch: Watch, cards: Cards, version: str) -> Mapping[str, Any] | None:
    fleet = watch.view(patient=False).fleet
    found = fleet.find(version) if fleet else None
    return cards.of(found) if found else None


def _gauges(door: Door) -> None:
    metrics, gate = door.metrics, door.gate
    metrics.gauge("brainseg_front_running", "Requests with TorchServe", lambda: gate.running)
    metrics.gauge("brainseg_front_waiting", "Requests that wait for a place", lambda: gate.waiting)
    metrics.gauge("brainseg_front_running_bytes", "Bytes of bodies with TorchServe", lambda: gate.running_bytes)
    metrics.gauge(
        "brainseg_front_ready", "1 when a scan would be answered", lambda: float(door.readiness.report().ready)
    )
    metrics.gauges(
        "brainseg_front_drift_index",
        "Population stability index of the last slices against the model card's: above 0.25 something has changed",
        ("model_version", "quantity"),
        door.drift.indices,
    )
    metrics.gauges(
        "brainseg_front_drift_slices", "Slices in the window of the drift", ("model_version",), door.drift.slices
    )
    metrics.gauges(
        "brainseg_front_drift_since_seconds",
        "When the window of the drift begins",
        ("model_version",),
        door.drift.since,
    )
    metrics.gauge(
        "brainseg_front_drift_gaps", "How often the window lost scans, as by a kill", lambda: float(door.drift.gaps)
    )
    metrics.gauges(
        "brainseg_front_version_degraded",
        "1 for a version that lacks something, though the live one may do well",
        ("model_version",),
        door.readiness.degraded_samples,
    )
    metrics.gauges(
        "brainseg_front_version_since_seconds",
        "Since when a version has its role, in seconds since 1970; 0: unknown",
        ("model_version", "role"),
        lambda: door.standings.samples(door.watch.view(patient=False).fleet),
    )
