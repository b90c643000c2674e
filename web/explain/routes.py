"""A scan in, of one of its slices what moves the answer out."""

from __future__ import annotations

import json
from dataclasses import replace
from http import HTTPStatus

from flask import Blueprint, Response, g, request

from web.contract.explain import FIELDS
from web.contract.fields import EXPLAIN_PATH, MODEL, Answer, RefusedError
from web.contract.translate import problem_code
from web.incoming import body, client, door, gone
from web.way.gate import GoneError
from web.way.submission import read_submission

explanations = Blueprint("explain", __name__)
OLDER = "The version was packaged by a build that cannot explain; package it again under a new number."


@explanations.post(EXPLAIN_PATH)
def explain() -> Response:
    """Counts as long work, so that slices to be segmented overtake what waits here. It is no finding: neither drift nor
    a version on trial sees it."""
    who, here = client(), door()
    query = request.query_string.decode("latin-1")
    submission = replace(
        read_submission(body(), dict(request.headers), query, (*FIELDS, MODEL)), long=True, service="explanations"
    )
    here.metrics.observe_scan(len(submission.scan))
    try:
        answer = (here.beside(submission.model) or here.forward)(submission, g.request_id, who, gone())
    except GoneError:
        g.code = "gone"
        return Response(status=HTTPStatus.REQUEST_TIMEOUT)  # which nobody reads
    _check_explained(answer)
    if answer.status != 200:
        g.code = problem_code(answer)
    return Response(answer.body, answer.status, dict(answer.headers))


def _check_explained(answer: Answer) -> None:
    """Raises ``explain_unavailable`` for the answer of a handler of before: a segmentation, or that it knows no such
    field."""
    try:
        found = json.loads(answer.body)
    except ValueError:
        raise RefusedError("explain_unavailable", OLDER) from None
    unknown = str(found.get("detail", "")).startswith(tuple(f"Unknown field '{name}'" for name in FIELDS))
    if (answer.status == 200 and "deletion" not in found) or unknown:
        raise RefusedError("explain_unavailable", OLDER)
