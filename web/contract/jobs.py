"""The document's part about jobs."""

from __future__ import annotations

from typing import Any

from web.contract import examples
from web.contract.fields import JOBS_PATH
from web.contract.headers import SAFE_ID
from web.contract.parts import ANY, GUARDED, ID, SEGMENT_CODES, STICKY, answered, operation, problems
from web.contract.schemas import TEXT, reference

HEADERS: dict[str, Any] = {
    "JobLocation": {"description": "Where the job is, below this server's address.", "schema": TEXT},
}
ASKED = ("unauthorized", *ANY, "not_found", "job_not_found", "queue_full")
# A scan is looked into when its job is done: what is wrong with it is said with the result.
SUBMITTED = (
    *("empty_body", "no_image", "invalid_parameter", "unauthorized", "model_not_found", "not_acceptable", "too_large"),
    *("unsupported_format", "rate_limited", "conflict", "not_found", *GUARDED[1:]),
)
_WEBHOOK = {
    "name": "webhook",
    "in": "query",
    "description": "An https URL that is told the job's end, by a signed POST; the server has a list of hosts.",
    "schema": {"type": "string", "maxLength": 200},
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same request with the same key makes one job, however often it is sent.",
    "schema": {"type": "string", "pattern": "^[!-~]+$", "maxLength": 200},
}
_HEARD = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "The id of the last event that the client has.",
    "schema": TEXT,
}
_WHICH = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "Of the job.",
    "schema": {"type": "string", "pattern": f"^{SAFE_ID.pattern}$"},
    "example": examples.JOB["id"],
}


def _accepted() -> dict[str, Any]:
    found = answered("Job", "Accepted: it will be done", examples.JOB)
    return {"202": {**found, "headers": ID | {"Location": reference("JobLocation", "headers")}}} | problems(SUBMITTED)


def _one() -> dict[str, Any]:
    job = answered("Job", "The job", examples.JOB)
    status = operation(
        "getJob",
        "jobs",
        "How far a job is",
        {"200": job} | problems(ASKED),
        "Its state, when that came, and where its result is.",
        parameters=[_WHICH],
    )
    gone = {"description": "It was done, and is forgotten", "headers": ID}
    cancelled = answered(
        "Job", "It was not done, and is cancelled", examples.JOB | {"state": "cancelled", "ahead": None}
    )
    remove = operation(
        "deleteJob",
        "jobs",
        "Cancel or forget a job",
        {"200": cancelled, "204": gone} | problems(ASKED),
        "One that is not done is cancelled; of one that is, all that is kept is deleted.",
        parameters=[_WHICH],
    )
    return {"get": status, "delete": remove}


def job_paths(fields: list[dict[str, Any]], body: dict[str, Any], masks: dict[str, Any]) -> dict[str, Any]:
    """``fields``, ``body``: of a request for a segmentation; ``masks``: the contents of its answer beside JSON."""
    submit = operation(
        "submitJob",
        "jobs",
        "Have a scan segmented later",
        _accepted(),
        "Asked as a segmentation is. `Accept` says now what the result will be.",
        parameters=[*fields, _WEBHOOK, _KEY, STICKY],
        requestBody=body,
    )
    put = operation(
        "putJob",
        "jobs",
        "The same under an id of one's own",
        _accepted(),
        "Sent again it is the same job; another request under the same id is refused.",
        parameters=[_WHICH, *fields, _WEBHOOK, STICKY],
        requestBody=body,
    )
    ok = answered("Segmentation", "What a segmentation would have answered", examples.SEGMENTATION)
    ok["content"] |= masks
    result = operation(
        "getJobResult",
        "jobs",
        "The answer to the scan of a job",
        {"200": ok} | problems((*SEGMENT_CODES, "not_found", "job_not_found", "conflict")),
        "Status, type and body are those of a segmentation, refusals too. `conflict` while there is none. Deleted some "
        "minutes after it was fetched, where the server keeps it no longer.",
        parameters=[_WHICH],
    )
    stream = {"text/event-stream": {"schema": TEXT}}
    events = operation(
        "getJobEvents",
        "jobs",
        "The states of a job as they come",
        {
            "200": {"description": "Server-sent events", "headers": ID, "content": stream},
            "204": {"description": "The last event was heard: there are no more", "headers": ID},
        }
        | problems(ASKED),
        "Events `state`, whose id is the state and whose data is the job; the last one is its end.",
        parameters=[_WHICH, _HEARD],
    )
    one = f"{JOBS_PATH}/{{id}}"
    return {
        JOBS_PATH: {"post": submit},
        one: {**_one(), "put": put},
        f"{one}/result": {"get": result},
        f"{one}/events": {"get": events},
    }
