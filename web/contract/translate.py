"""What TorchServe's own frontend answers -> the contract's refusals. The handler's answers are told by their type."""

from __future__ import annotations

import json

from web.contract.fields import INSTANCE, KINDS, PROBLEM_KIND, PROBLEMS, REASONS, Answer, RefusedError
from web.way.wire import Reply

DIED = b"Worker died"
PASSED_ON = (
    "content-type",
    "x-brainseg-model-version",
    "x-brainseg-verdict",
    "x-brainseg-tumor-pixels",
    "x-brainseg-notice",
    "x-brainseg-refused",
    "x-brainseg-passport",
    "x-brainseg-counted",
)
REFUSED_HEADER = "X-BrainSeg-Refused"  # of a scan that was not assessed: why, the main reason first


def main_reason(header: str) -> str:
    """Out of :data:`REFUSED_HEADER`; ``other`` for one that is not in the contract."""
    reason = header.partition(",")[0].strip()
    return reason if reason in REASONS else "other"


def from_handler(reply: Reply) -> bool:
    """Whether our handler wrote the reply, and not TorchServe in its place."""
    return reply.kind == PROBLEM_KIND or (reply.status == 200 and reply.kind in KINDS)


def died(reply: Reply) -> bool:
    """The worker was lost while it had the request."""
    return not from_handler(reply) and reply.status in (500, 507) and DIED in reply.body


def unserved(reply: Reply) -> bool:
    """TorchServe never took the request: its queue is full or there is no worker, which it says in the same words."""
    return not from_handler(reply) and reply.status == 503


def passed_on(reply: Reply, request_id: str) -> Answer:
    """The handler's answer as the client gets it; a refusal says which request it was."""
    headers = {name.title(): value for name, value in reply.headers.items() if name in PASSED_ON}
    return Answer(reply.status, headers, _named(reply.body, request_id) if reply.kind == PROBLEM_KIND else reply.body)


def _named(problem: bytes, request_id: str) -> bytes:
    try:
        members = json.loads(problem)
    except ValueError:
        return problem
    return json.dumps({**members, "instance": INSTANCE + request_id}).encode() if isinstance(members, dict) else problem


def problem_code(answer: Answer) -> str:
    """The code in a refusal of the handler; ``other`` for one that is not in the contract."""
    try:
        code = json.loads(answer.body)["code"]
    except (ValueError, KeyError, TypeError):
        return "other"
    return code if code in PROBLEMS else "other"


def refusal(reply: Reply, version: str | None) -> RefusedError:
    """What an answer of TorchServe's frontend means, for all that :func:`died` and :func:`unserved` leave over."""
    if reply.status == 404:
        return RefusedError("model_not_found", f"No version {version or '(default)'}; GET /api/v1/models lists them.")
    if reply.status == 413:
        return RefusedError("too_large", "The scan is larger than TorchServe takes. Send fewer slices.")
    if reply.status == 507:
        return RefusedError("queue_full", "TorchServe is short of memory for uploads; try again.", 5)
    return RefusedError("internal_error", f"TorchServe answered {reply.status}; its log says why.")
