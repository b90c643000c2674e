"""What became of a request, and the guard around its work: whatever it holds, it ends in an answer."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from handler.answer import Answer, Summary, problem_answer
from handler.errors import RequestError
from handler.memory import out_of_memory, ran_out
from handler.turns import Turn
from handler.wanted import UnwantedError, ask, asking

logger = logging.getLogger(__name__)
SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # as the front door takes them


@dataclass(frozen=True)
class Outcome:
    """An answer and what the metrics want to know of it. ``code``: ``ok`` or the problem's; ``summary``: None for a
    problem; ``seconds`` by stage, for the stages that were reached."""

    answer: Answer
    code: str
    summary: Summary | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)


def _named(headers: Mapping[str, Any]) -> str:
    """``, id=…`` with the request's X-Request-Id, by which the log is searched; empty without one that is safe to be
    written into a log."""
    sent = next((value for name, value in headers.items() if name.lower() == "x-request-id"), None)
    return f", id={sent}" if isinstance(sent, str) and SAFE_ID.fullmatch(sent) else ""


def guarded(headers: Mapping[str, Any], work: Callable[[dict[str, float], Turn], Outcome]) -> Outcome:
    """What ``work`` makes of a request with these ``headers``, or the problem it raised; never raises. ``work`` gets
    the seconds by stage, to be filled, and the request's turn."""
    seconds: dict[str, float] = {}
    try:
        with asking(headers), Turn() as turn:
            ask()  # it may have waited long in the queue
            return work(seconds, turn)
    except UnwantedError:
        gone = RequestError("timeout", "Nobody waited for the answer any more.")
        return Outcome(problem_answer(gone), "gone", None, seconds)
    except Exception as error:
        refusal = _refusal(error, _named(headers))
        return Outcome(problem_answer(refusal), refusal.code, None, seconds)


def _refusal(error: Exception, named: str) -> RequestError:
    """What the client is told of ``error``; what is our own fault goes into the log. The neighbours in the batch and
    the worker must not pay for it."""
    if ran_out(error):
        logger.error("no memory was left for a request%s", named)  # a traceback would want some
        return out_of_memory()
    if isinstance(error, RequestError):
        return error
    logger.error("a request failed inside the handler%s", named, exc_info=error)
    return RequestError("internal_error", "The request could not be answered; the server's log says why.")
