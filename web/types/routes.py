"""A slice in, which tumour it shows out."""

from __future__ import annotations

from http import HTTPStatus

from flask import Blueprint, Response, g, request

from web.contract.fields import CLASSIFY_PATH
from web.contract.translate import problem_code
from web.incoming import body, client, door, gone
from web.way.gate import GoneError
from web.way.submission import read_submission

types = Blueprint("types", __name__)


@types.post(CLASSIFY_PATH)
def classify() -> Response:
    """Neither drift nor a version on trial sees it: they are the segmentation's."""
    who, here = client(), door()
    submission = read_submission(body(), dict(request.headers), request.query_string.decode("latin-1"))
    here.metrics.observe_scan(len(submission.scan))
    try:
        answer = here.types(submission, g.request_id, who, gone())
    except GoneError:
        g.code = "gone"
        return Response(status=HTTPStatus.REQUEST_TIMEOUT)  # which nobody reads
    if answer.status != 200:
        g.code = problem_code(answer)
    return Response(answer.body, answer.status, dict(answer.headers))
