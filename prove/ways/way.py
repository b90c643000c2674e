"""What all ways have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

OK = "ok"
LOST = "lost"  # no answer came


@dataclass(frozen=True)
class Reply:
    """``code``: of the contract, :data:`OK` for an answer, :data:`LOST` where none came. ``status``: of HTTP, or what
    stands for it where the way has none."""

    status: int
    code: str


class Way(Protocol):
    """``name``: as the report has it; ``kinds``: the formats (keys of ``MUTATORS``) that it takes, empty for all."""

    name: str
    kinds: tuple[str, ...]

    def send(self, scans: Sequence[bytes]) -> list[Reply]:
        """One reply a scan, in their order."""

    def close(self) -> None:
        """Ends what was opened."""
