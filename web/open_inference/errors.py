"""A refusal as the protocol writes it: ``{"error": …}``, the contract's code in front, its status as it is."""

from __future__ import annotations

import json

from web.contract.fields import OPEN_PATH, PROBLEM_KIND, RefusedError


def is_open(path: str) -> bool:
    """Whether ``path`` is the protocol's."""
    return path == OPEN_PATH or path.startswith(OPEN_PATH + "/")


def error_text(refusal: RefusedError) -> str:
    """``code: detail``, for a person and for a program."""
    return f"{refusal.code}: {refusal.detail}"


def written(refusal: RefusedError, path: str, identity: str) -> tuple[dict[str, str], bytes]:
    """Headers and body of ``refusal`` to a request for ``path``; ``identity``: its X-Request-Id."""
    if not is_open(path):
        return refusal.headers(), refusal.body(identity)
    return refusal.headers() | {"Content-Type": "application/json"}, json.dumps({"error": error_text(refusal)}).encode()


def as_refusal(problem: bytes, kind: str) -> RefusedError:
    """The handler's refusal, out of its body and type. ``internal_error`` for what is none of the contract."""
    try:
        members = json.loads(problem) if kind == PROBLEM_KIND else {}
        return RefusedError(str(members["code"]), str(members["detail"]))
    except (ValueError, KeyError, TypeError):
        return RefusedError("internal_error", "The answer cannot be read; the server's log says why.")
