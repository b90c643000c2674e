"""What both forms of the protocol ask about models and versions."""

from __future__ import annotations

from urllib.parse import urlencode

from web.contract.fields import VERSION, RefusedError
from web.door import Door
from web.health.fleet import Fleet
from web.open_inference.asked import Asked
from web.open_inference.found import pictures_of
from web.way.submission import STICKY, Submission, read_submission


def check_model(here: Door, model: str) -> None:
    """Raises ``model_not_found`` for another model than ours."""
    if model != here.settings.model:
        raise RefusedError("model_not_found", f"No model {model[:40]!r}; this server has {here.settings.model!r}.")


def fleet_with(here: Door, version: str | None) -> Fleet:
    """The versions there are. Raises ``model_not_found`` where ``version`` is not among them, ``not_ready`` while
    TorchServe does not say."""
    view = here.watch.view()
    if view.fleet is None:
        raise RefusedError("not_ready", f"{view.reason}; try again.", 5)
    if version is not None and view.fleet.find(version) is None:
        raise RefusedError("model_not_found", f"No version {version[:40]!r}; GET /v2/models/{here.settings.model}.")
    return view.fleet


def is_ready(here: Door, version: str | None) -> bool:
    """Of the live version (None) whether it is proven, of one that is named whether its workers are there. Raises as
    :func:`fleet_with` does."""
    found = fleet_with(here, version).find(version)
    if version is None:
        return here.readiness.report().ready
    return bool(found and found.ready and found.complete)


def submission_of(asked: Asked, version: str | None, sticky: str = "") -> Submission:
    """What goes on to TorchServe; ``sticky``: the client's ``X-Request-Key``. Raises as
    :func:`web.way.submission.read_submission` does."""
    settings = {**asked.fields, "outputs": pictures_of([wish.name for wish in asked.wishes])}
    if version is not None:
        settings[VERSION] = version
    return read_submission(asked.scan, {"accept": "application/json", STICKY: sticky}, urlencode(settings))
