"""What a request to a model beside the segmentation works with: the classifier, or the model of several classes, at
TorchServe, as the segmentation's door has its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from web.contract.fields import Answer, RefusedError
from web.door import Door
from web.health.watch import NO_MODEL, Watch
from web.way.forward import Forward
from web.way.gate import Gate
from web.way.submission import Submission
from web.way.torchserve import TorchServe
from web.way.wanted import Wanted

TYPES = "brainseg.types"  # of the application's extensions
REGIONS = "brainseg.regions"
ABSENT = "No model that names types is deployed here; whoever runs the server deploys one with scripts/deploy."


NO_REGIONS = "No model of several classes is deployed here; whoever runs the server deploys one with scripts/deploy."


@dataclass(frozen=True)
class Types:
    """``watch``: of the model's workers. ``absent``: what is said where there is none. ``kind``: that of its versions,
    in words."""

    watch: Watch
    forward: Forward
    absent: str = ABSENT
    kind: str = "that names types"

    def __call__(self, submission: Submission, request_id: str, client: str, gone: Callable[[], bool]) -> Answer:
        """The handler's answer. Raises ``model_not_found`` where no such model is deployed, and what
        :class:`web.way.forward.Forward` raises."""
        view = self.watch.view()
        if view.fleet is None and view.reason == NO_MODEL:
            raise RefusedError("model_not_found", self.absent)
        if view.fleet is None:
            raise RefusedError("not_ready", f"{view.reason}; try again.", 5)
        if submission.version is not None and view.fleet.find(submission.version) is None:
            there = ", ".join(version.version for version in view.fleet.versions)
            raise RefusedError("model_not_found", f"No version {submission.version} {self.kind}; there is {there}.")
        return self.forward(submission, request_id, client, gone)


def open_types(door: Door) -> Types:
    """Connects nothing yet, as :func:`web.door.open_door`."""
    return _opened(door, door.settings.types, ABSENT, "that names types")


def open_regions(door: Door) -> Types:
    """As :func:`open_types`, the model of several classes."""
    return _opened(door, door.settings.regions, NO_REGIONS, f"of {door.settings.regions}")


def _opened(door: Door, model: str, absent: str, kind: str) -> Types:
    settings = door.settings
    server = TorchServe(replace(settings, model=model), door.traces)
    watch = Watch(server)
    gate = Gate(settings.bounds, watch.ready_workers)
    wanted, retried = Wanted(settings.wanted), door.metrics.count_retry
    return Types(watch, Forward(server, watch, gate, wanted, settings.bounds, retried, door.ending), absent, kind)
