"""All that is done with a submission, whichever protocol it came by: counted, forwarded, proven, watched, signed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from web.contract.fields import Answer
from web.way.submission import Submission

if TYPE_CHECKING:
    from web.door import Door


def take(
    here: Door,
    submission: Submission,
    request_id: str,
    client: str,
    gone: Callable[[], bool],
    asks: Callable[[str], None],
) -> Answer:
    """The answer, a refusal of the handler among them. ``asks``: is told which version is asked, ``none`` where that is
    not known. Raises as :meth:`web.way.forward.Forward.__call__` and :meth:`web.door.Door.beside` do.

    Neither drift nor a version on trial sees what a model beside is asked: they are the segmentation's."""
    beside = here.beside(submission.model)
    here.metrics.observe_scan(len(submission.scan))
    here.passports.check(submission)
    if beside is not None:
        answer = beside(submission, request_id, client, gone)
        return here.passports.signed(answer) if answer.status == 200 else answer

    def forward(asked: Submission, gone: Callable[[], bool]) -> Answer:
        expected = here.readiness.expected(asked.version)
        asks(expected.version if expected else "none")
        answer = here.forward(asked, request_id, client, gone)
        if answer.status == 200:
            here.readiness.proven(expected)
        return answer

    answer = here.shares.answer(submission, request_id, client, gone, forward)
    answer = here.drift.taken(answer)  # refused as not assessed counts too
    return here.passports.signed(answer) if answer.status == 200 else answer
