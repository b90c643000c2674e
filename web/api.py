"""The routes of the API: /api/v1, and what a supervisor asks."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from http import HTTPStatus

from flask import Blueprint, Response, current_app, g, request

from web.contract.fields import SEGMENT_PATH, RefusedError
from web.contract.openapi import document
from web.contract.translate import problem_code
from web.door import Door
from web.edge.admission import too_large
from web.health.cards import models_answer
from web.health.metrics import KIND
from web.readable import api_page, models_page, page, wanted
from web.way.gate import GoneError
from web.way.submission import read_submission

api = Blueprint("api", __name__)


def door() -> Door:
    """The door of the application that serves this request."""
    found = current_app.extensions["brainseg"]
    assert isinstance(found, Door)  # noqa: S101
    return found


def _client() -> str:
    return door().access.client({name.lower(): value for name, value in request.headers}, request.remote_addr or "")


def _json(body: object, status: int = 200) -> Response:
    return Response(json.dumps(body), status, content_type="application/json")


def _body() -> bytes:
    """The request's bytes, read past Flask, whose form parser would put a scan on disk."""
    size, limit = request.content_length or 0, door().settings.bounds.request_bytes
    if size > limit:
        raise too_large(limit)
    stream = request.environ["wsgi.input"]
    # waitress keeps what came until it is answered: reading would make a second copy of up to 64 MiB beside it.
    return stream.getvalue() if isinstance(stream, io.BytesIO) else bytes(stream.read(size))


def _gone() -> Callable[[], bool]:
    """Whether the client hung up, as far as the server can tell."""
    told: Callable[[], bool] = request.environ.get("waitress.client_disconnected", lambda: False)
    return told


@api.post(SEGMENT_PATH)
def segment() -> Response:
    """A scan in, the contract's answer out."""
    client, here = _client(), door()
    submission = read_submission(_body(), dict(request.headers), request.query_string.decode("latin-1"))
    here.metrics.observe_scan(len(submission.scan))
    here.passports.check(submission)
    expected = here.readiness.expected(submission.version)
    g.version = expected.version if expected else "none"
    try:
        answer = here.forward(submission, g.request_id, client, _gone())
    except GoneError:
        g.code = "gone"
        return Response(status=HTTPStatus.REQUEST_TIMEOUT)  # which nobody reads
    if answer.status == 200:
        here.readiness.proven(expected)
        answer = here.passports.signed(here.drift.taken(answer))
    else:
        g.code = problem_code(answer)
    return Response(answer.body, answer.status, dict(answer.headers))


@api.get("/api/v1/models")
def models() -> Response:
    """The versions, the default and the model cards."""
    _client()
    here = door()
    view = here.watch.view()
    if view.fleet is None:
        raise RefusedError("not_ready", f"{view.reason}; try again.", 5)
    answer = models_answer(here.settings.model, view.fleet, here.cards, here.standings)
    if wanted():
        return models_page(answer)
    response = _json(answer)
    # Weak: the same answer also goes out packed.
    response.set_etag(hashlib.sha256(response.get_data()).hexdigest()[:32], weak=True)
    response.headers["Cache-Control"] = "private, no-cache"
    response.make_conditional(request)
    return response


@api.get("/api/v1/openapi.json")
def openapi() -> Response:
    """This API in OpenAPI 3.1."""
    return api_page(document()) if wanted() else _json(document())


@api.get("/api/v1/passport-keys")
def passport_keys() -> Response:
    """The public keys that passports of this server are checked by; no key is needed."""
    return _json({"keys": door().passports.listed()})


@api.get("/livez")
def livez() -> Response:
    """The front door itself runs; whether TorchServe does is :func:`readyz`'s to say."""
    return _json({"status": "alive"})


def _readiness(otherwise: int) -> Response:
    report = door().readiness.report()
    if wanted():
        return page("status", 200 if report.ready else otherwise, report=report)
    body = {"status": "ready" if report.ready else "not_ready", "reasons": list(report.reasons)}
    body["degraded"] = list(report.degraded)
    return _json(body, 200 if report.ready else otherwise)


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
    _client()
    return Response(door().metrics.text(), content_type=KIND)
