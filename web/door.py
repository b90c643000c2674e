"""The parts of the front door, put together once for each application."""

from __future__ import annotations

from dataclasses import dataclass

from web.access.quota import Quota
from web.access.who import Access
from web.health.cards import Cards
from web.health.metrics import Metrics
from web.health.probe import Probe
from web.health.readiness import Readiness
from web.health.standing import Standings
from web.health.watch import Watch
from web.settings import Settings
from web.way.forward import Forward
from web.way.gate import Gate
from web.way.torchserve import TorchServe


@dataclass(frozen=True)
class Door:
    """What the routes work with."""

    settings: Settings
    access: Access
    quota: Quota
    gate: Gate
    watch: Watch
    cards: Cards
    standings: Standings
    readiness: Readiness
    forward: Forward
    metrics: Metrics


def open_door(settings: Settings) -> Door:
    """Connects nothing yet: TorchServe may still be starting. Raises ``OSError`` or ``ValueError`` for a file of API
    keys that cannot be used."""
    metrics = Metrics()
    server = TorchServe(settings)
    gate, watch, cards = Gate(settings.bounds), Watch(server), Cards(server)
    standings = Standings(settings.deployment)
    readiness = Readiness(watch, Probe(server, cards, settings.samples), lambda: gate.running > 0, standings.candidate)
    forward = Forward(server, watch, gate, settings.bounds, lambda: metrics.count("brainseg_front_retries_total"))
    metrics.gauge("brainseg_front_running", lambda: gate.running)
    metrics.gauge("brainseg_front_waiting", lambda: gate.waiting)
    metrics.gauge("brainseg_front_running_bytes", lambda: gate.running_bytes)
    metrics.gauge("brainseg_front_ready", lambda: float(readiness.report().ready))
    metrics.gauges("brainseg_front_version_since_seconds", lambda: standings.samples(watch.view().fleet))
    quota = Quota(settings.bounds.rate_per_minute)
    access = Access(settings.api_keys)
    return Door(settings, access, quota, gate, watch, cards, standings, readiness, forward, metrics)
