"""A job on the server: its state, its answer, its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from brainseg_client.errors import UnreachableError
from brainseg_client.results import Segmentation

if TYPE_CHECKING:
    import requests

FINAL = ("succeeded", "failed", "cancelled")
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0


@dataclass(frozen=True)
class JobState:
    """``state``: ``queued``, ``running``, ``succeeded``, ``failed`` or ``cancelled``; times in ISO 8601, None where
    they have not come; ``ahead``: how many jobs come before it; ``code``: ``ok``, or that of the refusal."""

    state: str
    created: str
    started: str | None
    ended: str | None
    ahead: int | None
    code: str | None

    @property
    def final(self) -> bool:
        return self.state in FINAL


def job_state(raw: Mapping[str, Any]) -> JobState:
    """From the contract's JSON. Raises ``KeyError`` or ``TypeError`` for something else."""
    return JobState(*(raw[name] for name in ("state", "created", "started", "ended", "ahead", "code")))


class RemoteJob:
    """A scan that was submitted. ``identity``: by which it is known on the server. Errors as of
    :meth:`brainseg_client.Client.segment`."""

    def __init__(
        self,
        identity: str,
        ask: Callable[[str, str], requests.Response],
        read: Callable[[requests.Response], Segmentation],
        given_up: threading.Event,
    ) -> None:
        self.identity = identity
        self._ask = ask
        self._read = read
        self._given_up = given_up

    def state(self) -> JobState:
        """How far it is now."""
        return job_state(self._ask("GET", "").json())

    def result(self, seconds: float | None = None) -> Segmentation:
        """Waits for the end, at most ``seconds``; the answer that :meth:`brainseg_client.Client.segment` would have
        given, or its error. Raises ``TimeoutError``; the job goes on."""
        return self._read(self.reply(seconds))

    def reply(self, seconds: float | None = None) -> requests.Response:
        """The same as it came."""
        deadline, pause = None if seconds is None else time.monotonic() + seconds, FIRST_PAUSE
        while not self.state().final:
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"job {self.identity} is not done after {seconds} s")
            if self._given_up.wait(pause):
                raise UnreachableError("unreachable", "given up waiting")
            pause = min(LONGEST_PAUSE, pause * 1.5)
        return self._ask("GET", "/result")

    def cancel(self) -> None:
        """Ends it where it is not done; else deletes what the server keeps of it."""
        self._ask("DELETE", "")
