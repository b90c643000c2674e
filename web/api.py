"""The routes of the API: /api/v1, and what a supervisor asks."""

from __future__ import annotations

import hashlib
from http import HTTPStatus

from flask import Blueprint, Response, g, request

from web.contract.fields import MODEL, SEGMENT_PATH, RefusedError
from web.contract.openapi import document
from web.contract.translate import problem_code
from web.health.cards import models_answer
from web.health.metrics import KIND
from web.incoming import answer_json, body, client, door, gone
from web.readable import api_page, models_page, page, wanted
from web.way.gate import GoneError
from web.way.submission import read_submission
from web.way.take import take

api = Blueprint("api", __name__)


@api.post(SEGMENT_PATH)
def segment() -> Response:
    """A scan in, the contract's answer out."""
    who, here = client(), door()
    query = request.query_string.decode("latin-1")
    submission = read_submission(body(), dict(request.headers), query, (MODEL,))
    try:
        answer = take(here, submission, g.request_id, who, gone(), lambda name: setattr(g, "version", name))
    except GoneError:
        g.code = "gone"
        return Response(status=HTTPStatus.REQUEST_TIMEOUT)  # which nobody reads
    if answer.status != 200:
        g.code = problem_code(answer)
    return Response(answer.body, answer.status, dict(answer.headers))


@api.get("/api/v1/models")
def models() -> Response:
    """The versions, the default and the model cards."""
    client()
    here = door()
    view = here.watch.view()
    if view.fleet is None:
        raise RefusedError("not_ready", f"{view.reason}; try again.", 5)
    answer = models_answer(here.settings.model, view.fleet, here.cards, here.standings)
    answer["beside"] = here.regions.listed()
    if wanted():
        return models_page(answer)
    response = answer_json(answer)
    # Weak: the same answer also goes out packed.
    response.set_etag(hashlib.sha256(response.get_data()).hexdigest()[:32], weak=True)
    response.headers["Cache-Control"] = "private, no-cache"
    response.make_conditional(request)
    return response


@api.get("/api/v1/openapi.json")
def openapi() -> Response:
    """This API in OpenAPI 3.1."""
    return api_page(document()) if wanted() else answer_json(document())


@api.get("/api/v1/passport-keys")
def passport_keys() -> Response:
    """The public keys that passports of this server are checked by; no key is needed."""
    return answer_json({"keys": door().passports.listed()})


@api.get("/livez")
def livez() -> Response:
    """The front door itself runs; whether TorchServe does is :func:`readyz`'s to say."""
    return answer_json({"status": "alive"})


def _readiness(otherwise: int) -> Response:
    report = door().readiness.report()
    if wanted():
        return page("status", 200 if report.ready else otherwise, report=report)
    told = {"status": "ready" if report.ready else "not_ready", "reasons": list(report.reasons)}
    told["degraded"] = list(report.degraded)
    return answer_json(told, 200 if report.ready else otherwise)


@api.get("/readyz")
def readyz() -> Response:
    """200 when a scan sent now would be answered by the live version, else 503; why not is in the body, and what other
    versions lack. No key is needed."""
    return _readiness(503)


@api.get("/api/v1/status")
def status() -> Response:
    """As :func:`readyz`, with status 200 either way: for the page, where a 503 would be an error in the console."""
    return _readiness(200)


@api.get("/metrics")
def metrics() -> Response:
    """Prometheus' text format. Needs a key where there are keys."""
    client()
    here = door()
    fleet = here.watch.view(patient=False).fleet
    for version in fleet.versions if fleet else ():
        here.metrics.begin(version.version)
    return Response(here.metrics.text(), content_type=KIND)
