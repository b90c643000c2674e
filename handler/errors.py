"""The refusals of the REST contract: each a stable code with its HTTP status and title (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """What a code stands for: ``status`` is the HTTP status, ``title`` the same for every occurrence."""

    status: int
    title: str


PROBLEMS: dict[str, Problem] = {
    "empty_body": Problem(400, "The request has no body"),
    "no_image": Problem(400, "The request carries no scan"),
    "invalid_parameter": Problem(400, "A field is unknown, doubled or out of range"),
    "unauthorized": Problem(401, "A valid key is needed"),
    "model_not_found": Problem(404, "No such model version"),
    "not_acceptable": Problem(406, "The answer cannot be given in the accepted types"),
    "too_large": Problem(413, "The scan is larger than the limits allow"),
    "response_too_large": Problem(413, "The answer would be larger than the limit"),
    "unsupported_format": Problem(415, "The format of the scan is not supported"),
    "corrupt_image": Problem(422, "The scan cannot be decoded"),
    "unsupported_shape": Problem(422, "The shape of the scan is not supported"),
    "inconsistent_series": Problem(422, "The slices do not make one regular volume"),
    "geometry_mismatch": Problem(422, "The sequences do not lie over each other"),
    "several_series": Problem(422, "Several series could be meant"),
    "not_mr": Problem(422, "The series is not MR"),
    "not_assessed": Problem(422, "The scan is not of the kind that the model knows"),
    "nothing_to_explain": Problem(422, "The slice has nothing to explain"),
    "rate_limited": Problem(429, "Too many requests"),
    "internal_error": Problem(500, "An error on our side"),
    "explain_unavailable": Problem(501, "This version cannot explain its answers so"),
    "worker_lost": Problem(502, "The worker died on this request"),
    "queue_full": Problem(503, "The queue is full"),
    "not_ready": Problem(503, "No worker is ready"),
    "out_of_memory": Problem(503, "The worker has not enough memory left"),
    "timeout": Problem(504, "The answer took too long"),
}


class RequestError(Exception):
    """A request that is refused. ``code`` is a key of :data:`PROBLEMS`, ``detail`` says what came, what was
    expected and what to do. It must never quote pixels, tokens or names from inside the file. ``headers``: that go with
    the answer, ASCII."""

    def __init__(self, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})
        self.problem = PROBLEMS[code]

    def body(self) -> dict[str, object]:
        """The members of an ``application/problem+json`` answer."""
        return {
            "type": f"urn:brainseg:problem:{self.code}",
            "title": self.problem.title,
            "status": self.problem.status,
            "detail": self.detail,
            "code": self.code,
        }
