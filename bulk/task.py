"""What passes between the driver and those who work: a scan to do, and what came of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from bulk.row import Row


@dataclass(frozen=True)
class Part:
    """A file. ``stamp``: changes when the file does (size and time, or the store's tag); empty where nothing tells.
    ``sequence``: of a case, which one the file holds, as the endpoint calls its part; else empty."""

    address: str
    size: int
    stamp: str = ""
    sequence: str = ""


@dataclass(frozen=True)
class Task:
    """One scan. ``key``: its number in this run; ``parts``: one file, the DICOM files of a study by
    address, or the sequences of a case, the FLAIR first."""

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


def digest_of(parts: Sequence[str], sequences: Sequence[str] = ()) -> str:
    """The digest of a scan of files with the digests ``parts``: the file's own, or that of the sorted digests, one a
    line, which does not depend on names. ``sequences``: of the files of a case, which stand before their digests."""
    if len(parts) == 1:
        return parts[0]
    lines = [f"{name} {one}".strip() for name, one in zip(sequences or [""] * len(parts), parts, strict=True)]
    return hashlib.sha256("".join(f"{one}\n" for one in sorted(lines)).encode()).hexdigest()


def sequences_of(parts: Sequence[Part]) -> tuple[str, ...]:
    """For :func:`digest_of`; none of what is no case."""
    return tuple(part.sequence for part in parts) if parts[0].sequence else ()
