"""What a thousand scans cost, from the seconds that a run has measured. Prices are the caller's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from archive.store import MODEL_NAME
from bulk.errors import BulkError
from bulk.names import key_of
from bulk.places import Destination
from bulk.row import LOST, SLOW
from bulk.table import TABLE, rows_of

ALL = "all"
COLUMNS = ["format", "seconds", "error_code"]


@dataclass(frozen=True)
class Cost:
    """``kind``: the answer's ``format``, ``refused`` or ``all``. ``core_seconds``: of one scan, on average; a worker
    has one thread, so a second of its time is a core's. ``core_hours``, ``price``: of a thousand."""

    kind: str
    scans: int
    core_seconds: float
    core_hours: float
    price: float


def cost_of(rows: Iterable[Mapping[str, Any]], core_hour: float, busy: float) -> list[Cost]:
    """By kind, all of them last: 1000 x mean seconds / 3600 / ``busy`` x ``core_hour``, the price of one core for one
    hour. ``busy``, 0..1: the share of what is paid for in which workers work. Scans that ended their workers have no
    seconds and are left out."""
    counts: dict[str, int] = defaultdict(int)
    seconds: dict[str, float] = defaultdict(float)
    for row in rows:
        if row["error_code"] in (LOST, SLOW):
            continue
        for kind in (row["format"] or "refused", ALL):
            counts[kind] += 1
            seconds[kind] += row["seconds"]
    found = []
    for kind in sorted(counts, key=lambda one: (one == ALL, one)):
        mean = seconds[kind] / counts[kind]
        hours = 1000 * mean / 3600 / busy
        found.append(Cost(kind, counts[kind], mean, hours, hours * core_hour))
    return found


def measured(out: str, version: str, model: str = MODEL_NAME) -> Iterator[dict[str, Any]]:
    """The rows of a run's table. Raises :class:`BulkError` where there are none."""
    destination = Destination(out)
    names = destination.names(f"{TABLE}/{key_of(model, version)}")
    if not names:
        raise BulkError(f"{out} has no table of {model} {version}; expected what scripts/bulk wrote there")
    return rows_of(destination, names, COLUMNS)
