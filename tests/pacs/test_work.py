"""The node's work where something is not as it should be: it goes on, and nothing is lost."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import SegmentationStorage
from pynetdicom.association import Association

from pacs import work as work_module
from pacs.destination import Destination, SendError
from pacs.spool import COMPLETE, RECEIVING, SENT, Spool
from pacs.work import Work
from prove.ways.store import StandInArchive
from tests.pacs.standins import StandInDoor, _object


class Door:
    def archive(self, _scan: bytes) -> bytes:
        return StandInDoor.answer(_scan)


@pytest.mark.parametrize("error", [sqlite3.OperationalError("database or disk is full"), OSError(28, "No space left")])
def test_a_queue_that_cannot_be_written_is_used_again_when_it_can(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_module, "FIRST_PAUSE", 0.0)
    monkeypatch.setattr(work_module, "POLL_SECONDS", 0.0)
    spool, stop, full = Spool(tmp_path), threading.Event(), [error, error]
    spool.keep("1.2.3", "a", _object(SegmentationStorage, "a"))
    settled = spool.complete_settled

    def full_at_first(seconds: float) -> list[str]:
        if full:
            raise full.pop()
        if spool.all()[0].state == SENT:
            stop.set()
        return settled(seconds)

    monkeypatch.setattr(spool, "complete_settled", full_at_first)
    with StandInArchive() as archive:
        where = Destination.parse(archive.address, "BRAINSEG")
        Work(spool, Door(), where, 0).run(stop)
        assert len(archive.stored) == 2


def test_results_that_there_is_no_room_for_are_asked_for_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path)
    spool.keep("1.2.3", "a", _object(SegmentationStorage, "a"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spool, "segmented", full)
    Work(spool, Door(), Destination.parse("A@127.0.0.1:1", "BRAINSEG"), 0).step()
    (study,) = spool.all()
    assert (study.state, study.attempts) == (COMPLETE, 1)
    assert "No space left" in study.note


def _fill(spool: Spool) -> None:
    for number in range(10_000):
        spool.keep(f"1.2.{number}", "a", b"1")


def test_a_database_that_is_full_refuses_an_object_and_keeps_it_the_next_time(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    (pages,) = spool._database.execute("PRAGMA page_count").fetchone()
    spool._database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        _fill(spool)
    spool._database.execute(f"PRAGMA max_page_count = {pages + 9}")
    assert spool.keep("1.3", "a", b"1")
    assert spool.all()[-1].state == RECEIVING


@pytest.mark.parametrize("error", [RuntimeError("no association"), ValueError("no context")])
def test_what_the_link_says_no_to_is_sent_later(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(Association, "send_c_store", gone)
    path = tmp_path / "seg.dcm"
    path.write_bytes(_object(SegmentationStorage, "a"))
    with StandInArchive() as archive:
        where = Destination.parse(archive.address, "BRAINSEG")
        with pytest.raises(SendError, match="could not be sent"):
            where.store(path)
        path.write_bytes(b"junk")
        with pytest.raises(SendError, match=r"seg\.dcm is no DICOM file"):
            where.store(path)


def test_a_title_of_blanks_is_no_destination() -> None:
    with pytest.raises(ValueError, match="expected TITLE@HOST:PORT"):
        Destination.parse("   @127.0.0.1:104", "BRAINSEG")
