"""The queue on disk: what a study may become, and that nothing of it is lost or done twice."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from pacs.spool import COMPLETE, FAILED, RECEIVING, SEGMENTED, SENT, Spool, Study, digest

STUDY = digest("1.2.3")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def spool(tmp_path: Path, clock: Clock) -> Spool:
    return Spool(tmp_path / "spool", clock)


def state(spool: Spool) -> str:
    (study,) = spool.all()
    return study.state


def test_a_study_settles_when_nothing_new_came(spool: Spool, clock: Clock) -> None:
    assert spool.keep("1.2.3", "a", b"1")
    clock.now += 29
    assert spool.keep("1.2.3", "b", b"2")
    clock.now += 29
    assert spool.complete_settled(30) == []
    clock.now += 1
    assert spool.complete_settled(30) == [STUDY]
    assert [path.read_bytes() for path in sorted(spool.incoming(STUDY).iterdir())] in ([b"1", b"2"], [b"2", b"1"])


def finish(spool: Spool, clock: Clock) -> None:
    clock.now += 100
    spool.complete_settled(30)
    spool.segmented(STUDY, {"seg.dcm": b"seg"})
    for result in spool.unsent(STUDY):
        spool.sending(result)
        spool.sent(result)
    spool.end(STUDY, SENT)


def test_what_was_sent_is_not_done_again_when_it_comes_again(spool: Spool, clock: Clock) -> None:
    spool.keep("1.2.3", "a", b"1")
    finish(spool, clock)
    assert state(spool) == SENT
    assert not spool.incoming(STUDY).exists()
    assert not spool.outgoing(STUDY).exists()
    assert not spool.keep("1.2.3", "a", b"1")
    assert state(spool) == SENT


def test_a_new_object_opens_the_study_again(spool: Spool, clock: Clock) -> None:
    spool.keep("1.2.3", "a", b"1")
    finish(spool, clock)
    assert spool.keep("1.2.3", "b", b"2")
    assert state(spool) == RECEIVING


def test_an_object_in_the_middle_of_sending_calls_the_rest_off(spool: Spool, clock: Clock) -> None:
    spool.keep("1.2.3", "a", b"1")
    clock.now += 100
    spool.complete_settled(30)
    spool.segmented(STUDY, {"seg.dcm": b"seg"})
    spool.keep("1.2.3", "b", b"2")
    assert spool.unsent(STUDY) == []
    spool.end(STUDY, SENT)
    assert state(spool) == RECEIVING
    spool.segmented(STUDY, {"seg.dcm": b"of the first object alone"})
    assert state(spool) == RECEIVING


def test_a_failed_study_may_be_sent_again(spool: Spool, clock: Clock) -> None:
    spool.keep("1.2.3", "a", b"1")
    clock.now += 100
    spool.complete_settled(30)
    spool.end(STUDY, FAILED, "several_series: two")
    (study,) = spool.all()
    assert (study.state, study.note) == (FAILED, "several_series: two")
    assert spool.keep("1.2.3", "a", b"1")
    assert state(spool) == RECEIVING


def test_all_of_it_is_there_after_a_new_start(tmp_path: Path, clock: Clock) -> None:
    first = Spool(tmp_path / "spool", clock)
    first.keep("1.2.3", "a", b"1")
    clock.now += 100
    first.complete_settled(30)
    first.segmented(STUDY, {"a.dcm": b"A", "b.dcm": b"B"})
    one, two = first.unsent(STUDY)
    assert not one.interrupted
    first.sending(one)
    # No close: as after a kill.
    second = Spool(tmp_path / "spool", clock)
    assert [study.state for study in second.due(SEGMENTED)] == [SEGMENTED]
    again, other = second.unsent(STUDY)
    assert again.interrupted
    assert again.path.read_bytes() == b"A"
    assert (other.name, other.interrupted) == (two.name, False)


def test_a_try_that_failed_waits_for_its_time(spool: Spool, clock: Clock) -> None:
    spool.keep("1.2.3", "a", b"1")
    clock.now += 100
    spool.complete_settled(30)
    spool.try_later(STUDY, "no answer", 10)
    assert spool.due(COMPLETE) == []
    clock.now += 10
    (due,) = spool.due(COMPLETE)
    assert (due.attempts, due.note) == (1, "no answer")


def test_nobody_else_may_look_in_and_no_uid_is_a_name(spool: Spool, tmp_path: Path) -> None:
    spool.keep("1.2.3", "4.5.6", b"1")
    folder = tmp_path / "spool"
    assert folder.stat().st_mode & 0o077 == 0
    assert not [path for path in folder.rglob("*") if "1.2.3" in path.name or "4.5.6" in path.name]


def test_an_object_that_comes_while_files_are_swept_is_not_swept(
    spool: Spool, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.keep("1.2.3", "a", b"1")
    finish(spool, clock)
    ended = spool.all()

    def comes_just_then() -> list[Study]:
        assert spool.keep("1.2.3", "b", b"2")  # answered with success
        return ended

    monkeypatch.setattr(spool, "all", comes_just_then)
    spool.sweep()
    assert [path.read_bytes() for path in spool.incoming(STUDY).iterdir()] == [b"2"]


def test_a_change_that_cannot_be_committed_stands_in_nobodys_way(spool: Spool) -> None:
    spool._database.executescript(
        "PRAGMA foreign_keys = ON; CREATE TABLE one (a PRIMARY KEY);"
        "CREATE TABLE two (a REFERENCES one DEFERRABLE INITIALLY DEFERRED);"
    )
    with pytest.raises(sqlite3.IntegrityError), spool._change() as database:
        database.execute("INSERT INTO two VALUES (1)")  # found out at the commit, as a full disk may be
    assert spool.keep("1.2.3", "a", b"1")
    assert state(spool) == RECEIVING
