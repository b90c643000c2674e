"""What passes between the driver and those who work: a scan to do, and what came of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from bulk.row import Row


@dataclass(frozen=True)
class Part:
    """A file. ``stamp``: changes when the file does (size and time, or the store's tag); empty where nothing tells."""

    address: str
    size: int
    stamp: str = ""


@dataclass(frozen=True)
class Task:
    """One scan. ``key``: its number in this run; ``parts``: one file, or the DICOM files of a study, by address."""

    key: int
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Done:
    """``row``: what the table gets. ``digests``: SHA-256 of the parts, in order; none where they were not read."""

    key: int
    row: Row
    digests: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lost:
    """A task that ended whoever worked on it, twice. ``code``: ``worker_lost``, or ``too_slow``."""

    task: Task
    code: str
    detail: str


Outcome = Done | Lost


def digest_of(parts: tuple[str, ...]) -> str:
    """The digest of a scan of files with the digests ``parts``: the file's own, or that of the sorted digests, one a
    line, which does not depend on names."""
    if len(parts) == 1:
        return parts[0]
    return hashlib.sha256("".join(f"{one}\n" for one in sorted(parts)).encode()).hexdigest()
