"""Twenty kills of actors and nodes at drawn moments over two thousand scans, one of them a poison."""

from __future__ import annotations

import random
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from brainseg_client.files import UNFINISHED
from bulk.cluster import Cluster
from bulk.row import LOST
from bulk.run import Options, Watching, run
from bulk.simulated import nodes
from tests.bulk.conftest import Bulk, draw, files_of, lasting, rows
from tests.bulk.poisoned import POISON
from tests.bulk.poisoned_actor import PoisonedActor
from tests.waiting import until

SCANS, KILLS, SEED = 2000, 20, 20261128
NODES = 2
ACTOR, NODE = "actor", "node"


def actors(cluster: Any) -> list[psutil.Process]:
    """The processes of this cluster's actors, told by the title that Ray gives them."""
    found = []
    for node in cluster.worker_nodes:
        try:
            children = psutil.Process(node.all_processes["raylet"][0].process.pid).children(recursive=True)
            found += [one for one in children if one.cmdline()[:1] and PoisonedActor.__name__ in one.cmdline()[0]]
        except (psutil.NoSuchProcess, KeyError):
            continue
    return sorted(found, key=lambda one: one.pid)


class Killer:
    """A thread of its own, so that a kill may fall into anything that the driver does: each waits until so many scans
    are done, and then for a drawn part of a second."""

    def __init__(self, cluster: Any) -> None:
        self._cluster, self._draw = cluster, random.Random(SEED)
        # Not the first scans, when nobody may have begun, and not the last, when nobody may be left.
        self._at = sorted(self._draw.sample(range(50, SCANS - 150), KILLS))
        self._kinds = self._draw.sample([ACTOR, NODE] * (KILLS // 2), KILLS)
        self.done, self.killed, self.ended = 0, Counter[str](), threading.Event()
        self._thread = threading.Thread(target=self._kill_all)
        self._thread.start()

    def _kill_all(self) -> None:
        for at, kind in zip(self._at, self._kinds, strict=True):
            until(lambda at=at: self.done >= at or self.ended.is_set(), every=0.01)  # type: ignore[misc]
            if self.ended.wait(self._draw.uniform(0, 0.3)):
                return
            self._kill(kind)
            self.killed[kind] += 1

    def _kill(self, kind: str) -> None:
        if kind == NODE:
            until(lambda: len(self._cluster.worker_nodes) == NODES)
            node = self._draw.choice(sorted(self._cluster.worker_nodes, key=lambda one: str(one.unique_id)))
            self._cluster.remove_node(node, allow_graceful=False)
            return
        self._draw.choice(until(lambda: actors(self._cluster))).send_signal(signal.SIGKILL)

    def show(self, done: int, _refused: int) -> None:
        """The driver's display; another node comes for one that went, which Ray takes from the main thread alone."""
        self.done = done
        if len(self._cluster.worker_nodes) < NODES:
            self._cluster.add_node(num_cpus=1)

    def close(self) -> None:
        self.ended.set()
        self._thread.join()


@pytest.mark.long  # minutes: ten nodes that go and ten that come, each half a dozen processes
@pytest.mark.timeout(1800)
def test_twenty_kills_and_a_poison_over_two_thousand_scans(bulk: Bulk, tmp_path: Path) -> None:
    """Every other result is there once, byte for byte as in a run that nobody disturbed; the poison is named."""
    source, out, calm = draw(tmp_path / "in", SCANS), tmp_path / "out", tmp_path / "calm"
    assert bulk.alone(source, calm).done == SCANS
    (source / f"{SCANS // 2:05d}a.png").write_bytes(POISON)
    with nodes(NODES) as cluster:
        killer = Killer(cluster)

        @contextmanager
        def showing(_total: int) -> Iterator[Callable[[int, int], None]]:
            yield killer.show

        try:
            executor = Cluster(cluster.address, bulk.setup(out), bulk.opened, 2, PoisonedActor)
            summary = run(Options(str(source), str(out)), bulk.opened, executor, Watching(showing, bulk.lines.append))
        finally:
            killer.close()
    print(dict(killer.killed), summary, Counter(line.partition(";")[0] for line in bulk.lines))
    assert killer.killed == {ACTOR: KILLS // 2, NODE: KILLS // 2}
    assert (summary.scans, summary.done, summary.lost, summary.refused, summary.left) == (SCANS + 1, SCANS + 1, 1, 1, 0)
    (guilty,) = [row for row in rows(out) if row["error_code"] == LOST]
    assert Path(guilty["path"]).read_bytes() == POISON
    assert sum(guilty["input_sha256"] in line for line in bulk.lines) == 1
    assert [lasting(row) for row in rows(out) if row != guilty] == list(map(lasting, rows(calm)))
    assert files_of(out) == files_of(calm)
    assert not list(out.rglob(f".*{UNFINISHED}"))
