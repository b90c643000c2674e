"""What a request to be named works with: the classifier at TorchServe, as the segmentation's door has its own."""

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
ABSENT = "No model that names types is deployed here; whoever runs the server deploys one with scripts/deploy."


@dataclass(frozen=True)
class Types:
    """``watch``: of the classifier's workers."""

    watch: Watch
    forward: Forward

    def __call__(self, submission: Submission, request_id: str, client: str, gone: Callable[[], bool]) -> Answer:
        """The handler's answer. Raises ``model_not_found`` where no classifier is deployed, and what
        :class:`web.way.forward.Forward` raises."""
        view = self.watch.view()
        if view.fleet is None and view.reason == NO_MODEL:
            raise RefusedError("model_not_found", ABSENT)
        if view.fleet is None:
            raise RefusedError("not_ready", f"{view.reason}; try again.", 5)
        if submission.version is not None and view.fleet.find(submission.version) is None:
            there = ", ".join(version.version for version in view.fleet.versions)
            raise RefusedError(
                "model_not_found", f"No version {submission.version} that names types; there is {there}."
            )
        return self.forward(submission, request_id, client, gone)


def open_types(door: Door) -> Types:
    """Connects nothing yet, as :func:`web.door.open_door`."""
    settings = door.settings
    server = TorchServe(replace(settings, model=settings.types), door.traces)
    watch = Watch(server)
    gate = Gate(settings.bounds, watch.ready_workers)
    wanted, retried = Wanted(settings.wanted), door.metrics.count_retry
    return Types(watch, Forward(server, watch, gate, wanted, settings.bounds, retried, door.ending))
