"""``scripts/benchmark --bulk --part nodes``: two nodes of a Ray cluster against one, simulated on this machine.

Each turn has a cluster of its own. Its first tenth is in no figure, for the second node may begin later than the first.
What Ray and the driver use of the machine is measured too: on so few cores it goes off what the nodes have."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from archive.store import archive_path
from benchmark.overnight import NODES, Found, bulk_run, setup_of, slices
from bulk.cluster import Cluster, RemoteWorker
from bulk.release import Opened, find
from bulk.simulated import nodes

SKIPPED = 10  # a part of the scans, 1 of so many


def used(actors: bool) -> float:
    """Seconds of processor that this process and those it started have had: only the actors', or all but these."""
    total = 0.0
    for one in (psutil.Process(), *psutil.Process().children(recursive=True)):
        with suppress(psutil.Error):  # it has ended
            if (RemoteWorker.__name__ in " ".join(one.cmdline()[:1])) == actors:
                total += sum(one.cpu_times()[:2])
    return total


class Span:
    """From the scan ``first`` that is done to the last: how many, seconds, and the processor's seconds beside the
    actors'."""

    def __init__(self, first: int, last: int) -> None:
        self._first, self._last = first, last
        self._begin = self.seconds = self._before = self.beside = 0.0

    @contextmanager
    def showing(self, _total: int) -> Iterator[Callable[[int, int], None]]:
        def at(done: int, _refused: int) -> None:
            if done == self._first:
                self._begin, self._before = time.perf_counter(), used(actors=False)
            if done == self._last:
                self.seconds = time.perf_counter() - self._begin
                self.beside = used(actors=False) - self._before

        yield at

    @property
    def rate(self) -> float:
        return (self._last - self._first) / self.seconds


def _turn(opened: Opened, source: Path, out: Path, count: int, scans: int) -> Span:
    span = Span(max(1, scans // SKIPPED), scans)
    with nodes(count) as cluster:
        executor = Cluster(cluster.address, setup_of(opened, out), opened, count)
        bulk_run(opened, executor, source, out, span.showing)
    shutil.rmtree(out)
    return span


def measure_nodes(version: str, store: Path, folder: Path, found: Found, kept: Callable[[], None]) -> None:
    """The same drawn slices by one node and by two, by turns; ``kept`` is called after each. Goes on where ``found``
    ends."""
    scans = found.amount.nodes
    opened, source = find(archive_path(version, store), version), slices(folder / "for-nodes", scans)
    for turn in range(found.amount.turns):
        for count, name in NODES.items():
            if len(found.rates.get(name, [])) > turn:
                continue
            span = _turn(opened, source, folder / f"nodes-{turn}-{count}", count, scans)
            found.add(name, span.rate)
            if count == max(NODES):
                found.beside.append(span.beside / span.seconds)
            kept()
