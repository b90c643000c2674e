"""What an actor's end is taken for: the words that Ray has for it, without Ray."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest

from bulk.cluster import NODE_LOST, ActorHand
from bulk.crew import Gone, Ready
from bulk.task import Part, Task


class RayError(Exception):
    pass


class RayActorError(RayError):
    pass


class ActorUnavailableError(RayActorError):
    pass


class GetTimeoutError(RayError):
    pass


class Ray:
    """Gives one thing after the other for whatever is asked."""

    exceptions = SimpleNamespace(
        RayError=RayError,
        RayActorError=RayActorError,
        ActorUnavailableError=ActorUnavailableError,
        GetTimeoutError=GetTimeoutError,
    )

    def __init__(self, *answers: object) -> None:
        self.answers = deque(answers)

    def get(self, _reference: object, timeout: float) -> object:
        assert timeout == 0
        found = self.answers.popleft()
        if isinstance(found, Exception):
            raise found
        return found


ACTOR: Any = SimpleNamespace(
    ready=SimpleNamespace(remote=lambda: object()), work=SimpleNamespace(remote=lambda _task: object())
)
NODE = RayActorError(f"The actor died {NODE_LOST}.")
PROCESS = RayActorError("The actor died unexpectedly.")
AWAY = ActorUnavailableError("The actor is unavailable.")


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([PROCESS], Gone("its process was lost")),
        ([NODE], Gone("its node was lost", False)),
        ([AWAY, NODE], Gone("its node was lost", False)),
        ([AWAY, AWAY, PROCESS], Gone("its process was lost")),
        ([AWAY, True], Gone("its answer was lost", False)),
        ([GetTimeoutError()], None),
    ],
)
def test_the_end_of_an_actor(answers: list[object], expected: Gone | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bulk.cluster.ASK_SECONDS", 0)
    hand = ActorHand(Ray(AWAY, True, *answers), ACTOR)
    assert hand.heard() is None
    assert hand.heard() == Ready()
    hand.give(Task(1, (Part("/a", 1),)))
    for _ in answers[:-1]:
        assert hand.heard() is None
    assert hand.heard() == expected
