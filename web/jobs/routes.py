"""The paths below ``/api/v1/jobs``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, current_app, g, request

from web.contract.fields import JOBS_PATH, RefusedError
from web.contract.translate import problem_code
from web.incoming import answer_json, body, client, door, gone
from web.jobs.entrance import jobs_of

if TYPE_CHECKING:
    from web.jobs.service import Job, Jobs

jobs = Blueprint("jobs", __name__, url_prefix=JOBS_PATH)
OFF = "This server takes no jobs; whoever runs it switches them on with scripts/serve --jobs FOLDER."
ONE = "/<identity>"


def _asked() -> tuple[Jobs, str]:
    """The jobs, and whose are meant: of the key, or without keys of this machine. Raises ``unauthorized``, or
    ``not_found`` where there are no jobs."""
    who, found = client(), jobs_of(current_app)
    if found is None:
        raise RefusedError("not_found", OFF)
    return found, "this machine" if door().access.open else who


def _accepted(job: Job) -> Response:
    response = answer_json(job.told, 202)
    response.headers["Location"] = f"{JOBS_PATH}/{job.order.identity}"
    response.autocorrect_location_header = False  # else it would name whatever host the request names
    return response


def _submit(identity: str | None) -> Response:
    from web.jobs.order import check_identity, identity_of, read_order

    found, owner = _asked()
    headers = {name.lower(): value for name, value in request.headers}
    own = identity_of(headers) if identity is None else check_identity(identity)
    query = request.query_string.decode("latin-1")
    order, submission = read_order(body(), headers, query, owner, own, g.request_id, found.hook.check)
    door().beside(submission.model)
    door().passports.check(submission)
    return _accepted(found.submit(order, submission))


@jobs.post("")
def submit() -> Response:
    """Takes a scan, to be segmented later."""
    return _submit(None)


@jobs.put(ONE)
def put(identity: str) -> Response:
    """The same under an id of the client's: sent again it is the same job."""
    return _submit(identity)


@jobs.get(ONE)
def status(identity: str) -> Response:
    """How far the job is."""
    found, owner = _asked()
    return answer_json(found.find(owner, identity).told)


@jobs.get(f"{ONE}/result")
def result(identity: str) -> Response:
    """What ``POST /api/v1/segment`` would have answered."""
    found, owner = _asked()
    job, answer = found.result(owner, identity)
    if answer.status != 200:
        g.code = problem_code(answer)
    response = Response(answer.body, answer.status, dict(answer.headers))
    if request.method == "GET":
        response.call_on_close(lambda: found.fetched(job))
    return response


@jobs.get(f"{ONE}/events")
def events(identity: str) -> Response:
    """The job's states as they come."""
    from web.jobs.events import KIND, follow

    found, owner = _asked()
    job, heard = found.find(owner, identity), request.headers.get("Last-Event-ID", "")
    if job.final and job.state == heard:
        return Response(status=204)  # by which a browser knows that it need not come again
    if not found.watchers.acquire(blocking=False):
        raise RefusedError("queue_full", "Too many follow events at a time; ask for the job itself.", 5)
    response = Response(follow(found, job, heard, gone()), content_type=f"{KIND}; charset=utf-8")
    response.call_on_close(found.watchers.release)
    return response


@jobs.delete(ONE)
def remove(identity: str) -> Response:
    """Cancels a job that is not done; forgets one that is."""
    found, owner = _asked()
    job = found.remove(owner, identity)
    return Response(status=204) if job is None else answer_json(job.told)
