"""What both forms of the protocol ask about models and versions."""

from __future__ import annotations

from urllib.parse import urlencode

from web.contract.fields import MODEL, VERSION, RefusedError
from web.door import Door
from web.health.fleet import Fleet
from web.open_inference.asked import Asked
from web.open_inference.found import pictures_of
from web.way.submission import STICKY, Submission, read_submission


def check_model(here: Door, model: str, said: str | None = None) -> None:
    """Raises ``model_not_found`` for a model that does not segment; ``invalid_parameter`` where the request says
    another one (``said``) than its path."""
    here.beside(model)
    if said is not None and said != model:
        here.beside(said)
        raise RefusedError("invalid_parameter", f"model_name is {said!r}, and the path says {model!r}; say one.")


def fleet_with(here: Door, model: str, version: str | None) -> Fleet:
    """The versions of ``model``. Raises ``model_not_found`` where ``version`` is not among them, ``not_ready`` while
    TorchServe does not say."""
    if beside := here.beside(model):
        return beside.fleet(version)
    view = here.watch.view()
    if view.fleet is None:
        raise RefusedError("not_ready", f"{view.reason}; try again.", 5)
    if version is not None and view.fleet.find(version) is None:
        raise RefusedError("model_not_found", f"No version {version[:40]!r}; GET /v2/models/{here.settings.model}.")
    return view.fleet


def is_ready(here: Door, model: str, version: str | None) -> bool:
    """Of the segmentation's live version (None) whether it is proven, of others whether their workers are there. Raises
    as :func:`fleet_with` does."""
    found = fleet_with(here, model, version).find(version)
    if version is None and here.beside(model) is None:
        return here.readiness.report().ready
    return bool(found and found.ready and found.complete)


def submission_of(asked: Asked, model: str, version: str | None, sticky: str = "") -> Submission:
    """What goes on to TorchServe; ``model``: the path's; ``sticky``: the client's ``X-Request-Key``. Raises as
    :func:`web.way.submission.read_submission` does."""
    settings = {**asked.fields, "outputs": pictures_of([wish.name for wish in asked.wishes]), MODEL: model}
    if version is not None:
        settings[VERSION] = version
    return read_submission(asked.scan, {"accept": "application/json", STICKY: sticky}, urlencode(settings), (MODEL,))
