"""The protocol's paths: health, metadata, infer."""

from __future__ import annotations

from http import HTTPStatus

from flask import Blueprint, Response, g, request

from web.contract.fields import RefusedError
from web.contract.translate import problem_code
from web.incoming import answer_json, body, client, door, gone
from web.open_inference.asked import header_length, read_asked
from web.open_inference.document import document
from web.open_inference.errors import as_refusal
from web.open_inference.found import read_found
from web.open_inference.models import check_model, fleet_with, is_ready, submission_of
from web.open_inference.reply import LENGTH_HEADER, write_reply
from web.open_inference.tensors import model_metadata, server_metadata
from web.open_inference.unpack import unpacked
from web.way.gate import GoneError
from web.way.submission import STICKY
from web.way.take import take

open_inference = Blueprint("open", __name__, url_prefix="/v2")
MODEL, OF_VERSION = "/models/<model>", "/models/<model>/versions/<version>"


@open_inference.get("")
def server() -> Response:
    """Name and extensions; no key is needed."""
    return answer_json(server_metadata(door().settings.model))


@open_inference.get("/openapi.json")
def openapi() -> Response:
    """These paths in OpenAPI 3.1."""
    return answer_json(document(door().settings.model))


def _health(ready: bool, status: int) -> Response:
    return answer_json({"live": True, "ready": ready}, status)


@open_inference.get("/health/live")
def live() -> Response:
    """As ``/livez``."""
    return _health(door().readiness.report().ready, 200)


@open_inference.get("/health/ready")
def ready() -> Response:
    """As ``/readyz``: 503 where a scan sent now would not be answered."""
    found = door().readiness.report().ready
    return _health(found, 200 if found else 503)


@open_inference.get(f"{MODEL}/ready")
@open_inference.get(f"{OF_VERSION}/ready")
def model_ready(model: str, version: str | None = None) -> Response:
    """Of the live version whether it is proven, of one that is named whether its workers are there."""
    client()
    check_model(door(), model)
    found = is_ready(door(), model, version)
    told = {"name": model, "live": True, "ready": found} | ({} if version is None else {"version": version})
    return answer_json(told, 200 if found else 503)


@open_inference.get(MODEL)
@open_inference.get(OF_VERSION)
def metadata(model: str, version: str | None = None) -> Response:
    """Versions, inputs and outputs."""
    client()
    check_model(door(), model)
    versions = [one.version for one in fleet_with(door(), model, version).versions]
    return answer_json(model_metadata(model, versions))


@open_inference.post(f"{MODEL}/infer")
@open_inference.post(f"{OF_VERSION}/infer")
def infer(model: str, version: str | None = None) -> Response:
    """A scan in, tensors out."""
    who, here, came = client(), door(), body()
    check_model(here, model)
    with here.edge.admission.more(who) as grow:
        limit = here.settings.bounds.request_bytes
        plain = unpacked(came, request.headers.get("Content-Encoding", ""), limit, grow)
        if not plain:
            raise RefusedError("empty_body", "The request has no body; send the scan as the input 'scan'.")
        asked = read_asked(plain, header_length(request.headers.get(LENGTH_HEADER), len(plain)), grow)
        check_model(here, model, asked.model)
        submission = submission_of(asked, model, version, request.headers.get(STICKY, ""))
        try:
            answer = take(here, submission, g.request_id, who, gone(), lambda name: setattr(g, "version", name))
        except GoneError:
            g.code = "gone"
            return Response(status=HTTPStatus.REQUEST_TIMEOUT)  # which nobody reads
    if answer.status != 200:
        g.code = problem_code(answer)
        raise as_refusal(answer.body, answer.headers.get("Content-Type", ""))
    wishes = {wish.name: wish.binary for wish in asked.wishes}
    found = read_found(answer.body, wishes, asked.fields.get("slices"))
    reply = write_reply(asked, found, model)
    told = {name: value for name, value in answer.headers.items() if name.lower() != "content-type"}
    return Response(reply.data, 200, {**told, **reply.headers})
