"""What an answer says of itself in its headers, and its time in the handler: the figures by which versions are
compared."""

from __future__ import annotations

import json
import math
import re

from exchange.outcome import Outcome
from web.contract.fields import Answer
from web.contract.translate import REFUSED_HEADER, problem_code
from web.health.drift import HEADER, Counts, counts_of

FAULTS = (
    "internal_error",
    "out_of_memory",
    "timeout",
    "worker_lost",
    "not_ready",
)  # ours; any other code is the client's
_TIMING = re.compile(rb'"timing_ms": (\{[^{}]*\})')
_VERSION = "X-BrainSeg-Model-Version".title()


def outcome_of(answer: Answer, candidate: bool) -> Outcome:
    """What came of a request that was answered, by a refusal too."""
    if answer.status != 200:
        code = problem_code(answer)
        return Outcome(candidate, code in FAULTS, refused=True if code == "not_assessed" else None)
    counts = _counts(answer)
    with_tumor, without, not_assessed = counts["verdict"] if counts else (0, 0, 0)
    refused = REFUSED_HEADER.title() in answer.headers or (not_assessed > 0 and not with_tumor + without)
    tumor = None if refused or not with_tumor + without else with_tumor > 0
    return Outcome(candidate, False, _seconds(answer), tumor, refused, _coverage(counts))


def version_of(answer: Answer) -> str:
    """Which version gave ``answer``; empty where it does not say."""
    try:
        counted = json.loads(answer.headers.get(HEADER, "{}"))
    except ValueError:
        return ""
    named = answer.headers.get(_VERSION)
    return named or (str(counted.get("version", "")) if isinstance(counted, dict) else "")


def _seconds(answer: Answer) -> float | None:
    """Of JSON only: other kinds of answer do not say it. Pictures in it are base64, which has no quotation marks."""
    begin = answer.body.rfind(b'"timing_ms": ')
    match = _TIMING.match(answer.body, begin) if begin >= 0 else None
    try:
        total = sum(map(float, json.loads(match[1]).values())) / 1000 if match else math.nan
    except (ValueError, TypeError):
        return None
    return total if math.isfinite(total) else None


def _counts(answer: Answer) -> Counts | None:
    """What the handler counted in the scan; an archive of before counts nothing."""
    try:
        return counts_of(json.loads(answer.headers.get(HEADER, "null")))
    except ValueError:
        return None


def _coverage(counts: Counts | None) -> float | None:
    row = counts["coverage_percent"] if counts else []
    if not sum(row):
        return None
    return sum(place * count for place, count in enumerate(row)) / (len(row) - 1) / sum(row)
