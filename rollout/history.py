"""``history.jsonl`` in the state folder: one line for each decision, only ever appended to."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rollout.file_lock import keep_owner
from rollout.state import now

HISTORY_FILE = "history.jsonl"


@dataclass(frozen=True)
class Event:
    """``decision``: promoted, refused, rolled-back, retired, kept, stopped, interrupted; of a version on trial
    canary, share, taken-back, shadow or shadowed. ``before``: the version that
    was live until then. ``figures``: what the gate or the watch measured. ``time``: UTC in ISO 8601."""

    operator: str
    version: str
    sha256: str
    decision: str
    reason: str
    before: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    time: str = field(default_factory=now)


def append(state: Path, event: Event) -> None:
    """Adds a line and has it on the disk when it returns. A line cut short by a kill is closed first."""
    line = (json.dumps(asdict(event)) + "\n").encode()
    descriptor = os.open(state / HISTORY_FILE, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        keep_owner(descriptor, state)
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            line = b"\n" + line
        os.write(descriptor, line)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(state: Path) -> list[Event]:
    """The events, oldest first. A line that a kill cut short is left out."""
    try:
        lines = (state / HISTORY_FILE).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    events = []
    for line in lines:
        try:
            events.append(Event(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return events
