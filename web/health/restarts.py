"""How often workers came back as another process: one that dies again and again is seen here, whoever restarts it."""

from __future__ import annotations

from web.health.fleet import Fleet
from web.health.metrics import Metrics


class Restarts:
    """Called with each fleet that is seen, by one thread at a time. A worker that comes beside others (more are wanted)
    is no restart, nor is one of a version that was away."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._known: dict[tuple[str, str], str] = {}  # version and worker -> its last process

    def __call__(self, fleet: Fleet) -> None:
        now = {(v.version, w.name): w.identity for v in fleet.versions for w in v.workers if w.ready}
        for version in fleet.versions:
            mine = {key: identity for key, identity in now.items() if key[0] == version.version}
            changed = sum(self._known.get(key, identity) != identity for key, identity in mine.items())
            self._metrics.count_restarts(version.version, changed)
        here = {version.version for version in fleet.versions}
        self._known = {key: old for key, old in self._known.items() if key[0] in here} | now
