"""What a request to a model beside the segmentation works with: the classifier, or the model of several classes, at
TorchServe, as the segmentation's door has its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Event
from typing import Any

from web.contract.fields import Answer, RefusedError
from web.health.cards import Cards, beside_answer
from web.health.fleet import Fleet
from web.health.metrics import Metrics
from web.health.watch import NO_MODEL, Watch
from web.settings import Settings
from web.traces.spans import Traces
from web.way.forward import Forward
from web.way.gate import Gate
from web.way.submission import Submission
from web.way.torchserve import TorchServe
from web.way.wanted import Wanted

ABSENT = "No model that names types is deployed here; whoever runs the server deploys one with scripts/deploy."
NO_REGIONS = "No model of several classes is deployed here; whoever runs the server deploys one with scripts/deploy."


@dataclass(frozen=True)
class Shared:
    """What every model's way has of the front door. ``ending``: set when what is in work has to end."""

    settings: Settings
    traces: Traces
    metrics: Metrics
    ending: Event


@dataclass(frozen=True)
class Types:
    """``watch``: of the model's workers; ``cards``: theirs. ``absent``: what is said where there is none. ``kind``:
    that of its versions, in words."""

    watch: Watch
    forward: Forward
    model: str
    cards: Cards
    absent: str = ABSENT
    kind: str = "that names types"

    def fleet(self, version: str | None = None) -> Fleet:
        """The versions there are. Raises ``model_not_found`` where no such model is deployed or ``version`` is not
        among them, ``not_ready`` while TorchServe does not say."""
        view = self.watch.view()
        if view.fleet is None and view.reason == NO_MODEL:
            raise RefusedError("model_not_found", self.absent)
        if view.fleet is None:
            raise RefusedError("not_ready", f"{view.reason}; try again.", 5)
        if version is not None and view.fleet.find(version) is None:
            there = ", ".join(one.version for one in view.fleet.versions)
            raise RefusedError("model_not_found", f"No version {version[:40]} {self.kind}; there is {there}.")
        return view.fleet

    def __call__(self, submission: Submission, request_id: str, client: str, gone: Callable[[], bool]) -> Answer:
        """The handler's answer. Raises as :meth:`fleet` does, and what :class:`web.way.forward.Forward` raises."""
        self.fleet(submission.version)
        return self.forward(submission, request_id, client, gone)

    def listed(self) -> list[dict[str, Any]]:
        """For ``beside`` of ``GET /api/v1/models``: the model and its versions; empty where none is to be seen."""
        fleet = self.watch.view().fleet
        return [] if fleet is None else [beside_answer(self.model, fleet, self.cards)]


def open_types(shared: Shared) -> Types:
    """Connects nothing yet, as :func:`web.door.open_door`."""
    return _opened(shared, shared.settings.types, ABSENT, "that names types")


def open_regions(shared: Shared) -> Types:
    """As :func:`open_types`, the model of several classes."""
    return _opened(shared, shared.settings.regions, NO_REGIONS, f"of {shared.settings.regions}")


def _opened(shared: Shared, model: str, absent: str, kind: str) -> Types:
    settings = shared.settings
    server = TorchServe(replace(settings, model=model), shared.traces)
    watch = Watch(server)
    gate = Gate(settings.bounds, watch.ready_workers)
    wanted, retried = Wanted(settings.wanted), shared.metrics.count_retry
    forward = Forward(server, watch, gate, wanted, settings.bounds, retried, shared.ending)
    return Types(watch, forward, model, Cards(server), absent, kind)
