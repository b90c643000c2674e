"""The front door's lines about a trial, as they come."""

from __future__ import annotations

from pathlib import Path
from typing import Generic, TypeVar

from exchange.outcome import Compared, Outcome, parse_line
from exchange.trial import Trial, outcomes_path

T = TypeVar("T", Outcome, Compared)


class Outcomes(Generic[T]):
    """``kind``: what the lines are."""

    def __init__(self, state: Path, trial: Trial, kind: type[T]) -> None:
        self._path = outcomes_path(state, trial.id)
        self._kind: type[T] = kind
        self._read = 0

    def new(self) -> list[T]:
        """Those that came since. A line that is not whole yet comes the next time."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._read)
                content = file.read()
        except FileNotFoundError:
            return []
        whole = content[: content.rfind(b"\n") + 1]
        self._read += len(whole)
        return [one for line in whole.splitlines() if (one := parse_line(self._kind, line)) is not None]
