"""Workers and drivers that are killed: nothing is lost, nothing doubled, and the guilty one is named."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from archive.programs import environment
from brainseg_client.files import UNFINISHED
from bulk import pool as pool_module
from bulk.crew import MOVES, Crew, Event, Gone, Hand, Ready
from bulk.errors import BulkError
from bulk.pool import Pool, ProcessHand
from bulk.release import PREFIX
from bulk.row import LOST, SLOW, Row
from bulk.run import Options, Summary, Watching, run
from bulk.task import Done, Lost, Outcome, Part, Task
from bulk.worker import Setup
from tests.bulk import poisoned
from tests.bulk.conftest import Bulk, draw, files_of, lasting, rows
from tests.waiting import until


class Killing:
    """Kills a worker of the pool after so many scans each."""

    def __init__(self, pool: Pool, every: int) -> None:
        self.pool, self.every, self.killed = pool, every, 0

    def show(self, done: int, _refused: int) -> None:
        if done and done % self.every == 0:
            living = [hand for hand in self.pool.started if not hand.pipe.closed]
            os.kill(living[self.killed % len(living)].pid, signal.SIGKILL)
            self.killed += 1


def with_pool(bulk: Bulk, pool: Pool, source: Path, out: Path, show: Callable[[int, int], None]) -> Summary:
    @contextmanager
    def shown(_total: int) -> Iterator[Callable[[int, int], None]]:
        yield show

    watching = Watching(shown, bulk.lines.append)
    return run(Options(str(source), str(out)), bulk.opened, pool, watching)


def test_killed_workers_lose_and_double_nothing(bulk: Bulk, tmp_path: Path) -> None:
    source = draw(tmp_path / "in", 60)
    bulk.alone(source, tmp_path / "calm")
    pool = bulk.pool(tmp_path / "out")
    killing = Killing(pool, 15)
    summary = with_pool(bulk, pool, source, tmp_path / "out", killing.show)
    assert killing.killed >= 3
    assert (summary.done, summary.refused, summary.left) == (60, 0, 0)
    assert list(map(lasting, rows(tmp_path / "out"))) == list(map(lasting, rows(tmp_path / "calm")))
    assert files_of(tmp_path / "out") == files_of(tmp_path / "calm")


def test_what_a_killed_writer_left_unfinished_is_swept(bulk: Bulk, tmp_path: Path) -> None:
    source, out = draw(tmp_path / "in", 3), tmp_path / "out"
    bulk.alone(draw(tmp_path / "first", 2), out)
    left = next((out / "masks").rglob("mask.png")).with_name(f".0123456789abcdef{UNFINISHED}")
    left.write_bytes(b"half")
    bulk.alone(source, out)
    assert not left.exists()


def test_poison_is_set_apart_and_the_rest_goes_on(bulk: Bulk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "TARGET", poisoned.serve)
    source, out = draw(tmp_path / "in", 10), tmp_path / "out"
    (source / "00004a.png").write_bytes(poisoned.POISON)
    summary = with_pool(bulk, bulk.pool(out), source, out, lambda *_: None)
    assert (summary.done, summary.refused, summary.lost) == (11, 1, 1)
    found = {Path(row["path"]).name: row for row in rows(out)}
    assert {name: row["error_code"] for name, row in found.items() if row["error_code"]} == {"00004a.png": LOST}
    assert "SIGKILL" in found["00004a.png"]["error_detail"]
    named = found["00004a.png"]["input_sha256"]
    assert any(named in line for line in bulk.lines)
    assert str(tmp_path) not in str(bulk.lines)
    again = bulk.alone(source, out)
    assert again.left == 0


def driver(bulk: Bulk, source: Path, out: Path) -> subprocess.Popen[bytes]:
    code = "import sys; from tests.bulk.driver import main; main(*sys.argv[1:])"
    command = [sys.executable, "-c", code, str(source), str(out), str(bulk.archive)]
    root = Path(__file__).parents[2]
    return subprocess.Popen(command, cwd=root, env={**environment(), "PYTHONPATH": f"{root}:{root / 'client'}"})


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def written(out: Path) -> int:
    return sum(pq.read_metadata(path).num_rows for path in out.glob("table/1.0/part-*.parquet"))


def test_a_killed_driver_loses_and_doubles_nothing(bulk: Bulk, tmp_path: Path) -> None:
    source, out = draw(tmp_path / "in", 200), tmp_path / "out"
    process = driver(bulk, source, out)
    until(lambda: written(out) > 0 or process.poll() is not None)
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    assert 0 < written(out) < 200
    until(lambda: not any(map(lives, children)), "workers stayed")
    kept = rows(out)
    assert bulk.alone(source, out).left == 0
    bulk.alone(source, tmp_path / "calm")
    assert list(map(lasting, rows(out))) == list(map(lasting, rows(tmp_path / "calm")))
    assert files_of(out) == files_of(tmp_path / "calm")
    assert all(row in rows(out) for row in kept)


def test_what_a_killed_driver_left_is_swept_by_the_next_run(
    bulk: Bulk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what another run holds is not."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    source, out = draw(tmp_path / "in", 200), tmp_path / "out"
    process = driver(bulk, source, out)
    until(lambda: written(out) > 0 or process.poll() is not None)
    children = psutil.Process(process.pid).children(recursive=True)
    (held,) = (book.parent for book in place.glob(f"{PREFIX}*/book.sqlite"))  # a worker may still unpack its archive
    bulk.alone(draw(tmp_path / "few", 1), tmp_path / "other")
    until(lambda: list(place.glob(f"{PREFIX}*")) == [held], "more is left than what the other run holds")
    process.kill()
    process.wait()
    until(lambda: not any(map(lives, children)), "workers stayed")
    assert (held / "book.sqlite").exists()
    bulk.alone(tmp_path / "few", tmp_path / "other")
    assert not list(place.glob(f"{PREFIX}*"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_it_ends_cleanly(number: int, bulk: Bulk, tmp_path: Path) -> None:
    source, out = draw(tmp_path / "in", 200), tmp_path / "out"
    process = driver(bulk, source, out)
    until(lambda: written(out) > 0 or process.poll() is not None)
    children = psutil.Process(process.pid).children(recursive=True)
    for one in [psutil.Process(process.pid), *children]:  # as a terminal or systemd do: to all of them
        if "resource_tracker" not in str(one.cmdline()):
            one.send_signal(number)
    assert process.wait(300) == 130
    until(lambda: not any(map(lives, children)), "workers stayed")
    done = rows(out)
    assert 0 < len(done) < 200
    assert not any(row["error_code"] for row in done)
    assert (out / "report.html").exists()
    assert bulk.alone(source, out).done == 200 - len(done)


class Scripted:
    """An executor without processes: a hand dies of the tasks ``poison``, and never ends with those ``asleep``. The
    first ``pending`` hands never begin, the first ``barren`` others end before they do."""

    hands = 2

    def __init__(
        self, poison: Set[int], barren: int = 0, asleep: Set[int] = frozenset(), pending: int = 0, blamed: bool = True
    ) -> None:
        self.blamed = blamed
        self.pending = pending
        self.poison, self.barren, self.asleep, self.ended, self.released = poison, barren, asleep, 0, 0
        self._queues: dict[int, deque[Task]] = {}
        self._events: deque[tuple[Hand, Event]] = deque()

    def start(self) -> Hand:
        hand = ScriptedHand(self)
        if not self.pending:
            self._events.append((hand, Gone("no model", self.blamed) if self.barren else Ready()))
            self.barren = max(0, self.barren - 1)
        self.pending = max(0, self.pending - 1)
        return hand

    def wait(self, hands: list[Hand], _seconds: float) -> list[tuple[Hand, Event]]:
        found = list(self._events)
        self._events.clear()
        for hand in hands:
            assert isinstance(hand, ScriptedHand)
            if hand.tasks and hand.tasks[0].key in self.asleep:
                continue
            if hand.tasks and (hand, Ready()) not in found and hand.living:
                task = hand.tasks.popleft()
                hand.living = task.key not in self.poison
                row = Row(str(task.key), "", 1, 0, "1.0", "", None, None, 0.0)
                found.append((hand, Done(task.key, row) if hand.living else Gone("poison", self.blamed)))
        return found

    def close(self) -> None:
        """Nothing is left."""


class ScriptedHand:
    def __init__(self, executor: Scripted) -> None:
        self.executor, self.tasks, self.living = executor, deque[Task](), True

    def give(self, task: Task) -> None:
        self.tasks.append(task)

    def end(self) -> None:
        self.executor.ended += not self.living
        self.executor.released += self.living


def outcomes(executor: Scripted, scans: int) -> list[Outcome]:
    tasks = iter([Task(key, (Part(f"/{key}", 1),)) for key in range(scans)])
    return list(Crew(executor, 60.0).run(tasks, lambda: False))


def test_the_crew_blames_who_was_in_work_alone() -> None:
    executor = Scripted({3, 4, 17})
    found = outcomes(executor, 20)
    assert {one.task.key for one in found if isinstance(one, Lost)} == {3, 4, 17}
    assert sorted(one.key for one in found if isinstance(one, Done)) == [k for k in range(20) if k not in (3, 4, 17)]
    assert executor.ended == 6  # two tries each


def test_a_scan_whose_node_goes_is_not_blamed_but_not_tried_for_ever_either() -> None:
    executor = Scripted({3}, blamed=False)
    found = outcomes(executor, 8)
    assert [one.task.key for one in found if isinstance(one, Lost)] == [3]
    assert len(found) == 8
    assert executor.ended == MOVES


def test_hands_go_when_nothing_is_left_for_them() -> None:
    """While another is still at work: a cluster's node is paid for as long as somebody holds it."""
    executor, now = Scripted(set(), asleep={0}), count(0, 10)
    tasks = iter([Task(key, (Part(f"/{key}", 1),)) for key in range(2)])
    released = []
    crew = Crew(executor, 1000.0, lambda _line: released.append(executor.released), lambda: next(now))
    assert len(list(crew.run(tasks, lambda: False))) == 2
    assert released == [2]  # the sleeper, which is given up, and before it the one that had nothing left


def test_who_takes_too_long_is_ended_and_the_scan_set_apart() -> None:
    """The clock is the test's own: ten seconds at each look, and a scan may take a hundred."""
    executor, now = Scripted(set(), asleep={2}), count(0, 10)
    tasks = iter([Task(key, (Part(f"/{key}", 1),)) for key in range(6)])
    found = list(Crew(executor, 100.0, clock=lambda: next(now)).run(tasks, lambda: False))
    assert [(one.task.key, one.code) for one in found if isinstance(one, Lost)] == [(2, SLOW)]
    assert sorted(one.key for one in found if isinstance(one, Done)) == [0, 1, 3, 4, 5]


def test_workers_that_never_begin_end_the_run() -> None:
    assert len(outcomes(Scripted(set(), barren=2), 5)) == 5
    with pytest.raises(BulkError, match="ended before they could begin: no model"):
        outcomes(Scripted(set(), barren=3), 5)
    assert len(outcomes(Scripted(set(), barren=5, blamed=False), 5)) == 5  # their nodes went


def test_a_hand_that_never_begins_holds_nothing_up() -> None:
    """As an actor for which the cluster has no CPU left. Where none begins, the run ends with a word."""
    assert len(outcomes(Scripted(set(), pending=1), 5)) == 5
    now = count(0, 100)
    tasks = iter([Task(1, (Part("/1", 1),))])
    with pytest.raises(BulkError, match="no worker could begin"):
        list(Crew(Scripted(set(), pending=2), 60.0, clock=lambda: next(now)).run(tasks, lambda: False))


def test_a_worker_with_another_archive_says_so(bulk: Bulk, tmp_path: Path) -> None:
    setup = Setup("sha256:other", "1.0", "", str(tmp_path))
    pool = Pool(1, setup, str(bulk.archive))
    try:
        crew = Crew(pool, 60.0)
        with pytest.raises(BulkError, match="has digest"):
            list(crew.run(iter([Task(1, (Part("/a", 1),))]), lambda: False))
    finally:
        pool.close()
    assert all(isinstance(hand, ProcessHand) and hand.pipe.closed for hand in pool.started)
