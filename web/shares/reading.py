"""What an answer says of itself in its headers, and its time in the handler: the figures by which versions are
compared."""

from __future__ import annotations

import json
import math
import re

from exchange.outcome import Outcome
from web.contract.fields import Answer
from web.contract.translate import REFUSED_HEADER, problem_code
from web.health.drift import HEADER, counts_of

FAULTS = ("internal_error", "timeout", "worker_lost", "not_ready")  # ours; any other code is the client's
_TIMING = re.compile(rb'"timing_ms": (\{[^{}]*\})')
_VERDICT = "X-BrainSeg-Verdict".title()


def outcome_of(answer: Answer, candidate: bool) -> Outcome:
    """What came of a request that was answered, by a refusal too."""
    if answer.status != 200:
        code = problem_code(answer)
        return Outcome(candidate, code in FAULTS, refused=True if code == "not_assessed" else None)
    verdict = answer.headers.get(_VERDICT, "")
    refused = REFUSED_HEADER.title() in answer.headers or verdict == "not_assessed"
    tumor = None if refused or not verdict else verdict == "tumor_detected"
    return Outcome(candidate, False, _seconds(answer), tumor, refused, _coverage(answer))


def _seconds(answer: Answer) -> float | None:
    """Of JSON only: other kinds of answer do not say it. Pictures in it are base64, which has no quotation marks."""
    begin = answer.body.rfind(b'"timing_ms": ')
    match = _TIMING.match(answer.body, begin) if begin >= 0 else None
    try:
        total = sum(map(float, json.loads(match[1]).values())) / 1000 if match else math.nan
    except (ValueError, TypeError):
        return None
    return total if math.isfinite(total) else None


def _coverage(answer: Answer) -> float | None:
    try:
        counts = counts_of(json.loads(answer.headers.get(HEADER, "null")))
    except ValueError:
        return None
    row = counts["coverage_percent"] if counts else []
    if not sum(row):
        return None
    return sum(place * count for place, count in enumerate(row)) / (len(row) - 1) / sum(row)
