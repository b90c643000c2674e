"""What a run meets at its destination and around it: other weights, broken tables, no room, an impatient hand."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from bulk import book as book_module
from bulk import table as tables_module
from bulk.errors import BulkError
from bulk.places import read
from tests.bulk.conftest import Bulk, draw, rows
from tests.bulk.test_killed import driver, lives, written
from tests.waiting import until


def test_other_weights_of_the_same_version_are_not_mixed(bulk: Bulk, tmp_path: Path) -> None:
    source, out = draw(tmp_path / "in", 1), tmp_path / "out"
    bulk.alone(source, out)
    other = Bulk(replace(bulk.opened, model_digest="sha256:other"), bulk.archive)
    with pytest.raises(BulkError, match="sha256:other: give another --out"):
        other.alone(source, out)
    assert [row["model_digest"] for row in rows(out)] == [bulk.opened.model_digest]


@pytest.mark.parametrize("folder", ["table/1.0", "inputs"])
def test_a_table_that_is_none_ends_the_run_with_a_word(folder: str, bulk: Bulk, tmp_path: Path) -> None:
    source, out = draw(tmp_path / "in", 1), tmp_path / "out"
    strange = out / folder / "part-strange.parquet"
    strange.parent.mkdir(parents=True)
    strange.write_bytes(b"PAR1")
    with pytest.raises(BulkError, match=r"part-strange\.parquet in the results is no table"):
        bulk.alone(source, out)
    pq.write_table(pa.table({"other": [1]}), strange)
    with pytest.raises(BulkError, match="it has no"):
        bulk.alone(source, out)
    strange.unlink()
    assert bulk.alone(source, out).done == 1


def test_no_room_for_the_last_part_is_told_as_no_room(
    bulk: Bulk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = draw(tmp_path / "in", 2), tmp_path / "out"

    def full(_self: object, name: str, _table: object) -> None:
        raise OSError(28, "No space left on device", name)

    with monkeypatch.context() as patch:
        patch.setattr(tables_module.Destination, "write_table", full)
        assert "No space left" in bulk.alone(source, out).full
    assert bulk.alone(source, out).done == 2


def test_no_room_for_the_runs_own_notes(bulk: Bulk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's own error, of a book that may have so many pages."""
    monkeypatch.setattr(book_module, "_TABLES", book_module._TABLES + "pragma max_page_count = 1;")
    with pytest.raises(BulkError, match="full; make room there, or set TMPDIR"):
        bulk.alone(draw(tmp_path / "in", 300), tmp_path / "out")


@pytest.mark.parametrize("empty", ["", " "])
def test_an_empty_address_is_neither_the_root_nor_where_one_stands(
    empty: str, bulk: Bulk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(draw(tmp_path / "in", 1))
    for source, out, said in ((empty, tmp_path / "out", "SOURCE is empty"), (tmp_path / "in", empty, "--out is empty")):
        with pytest.raises(BulkError, match=said):
            bulk.alone(source, out)
    assert not (tmp_path / "out").exists()


def test_a_password_in_an_address_is_refused_and_not_shown(bulk: Bulk, tmp_path: Path) -> None:
    hidden = "s3://who:secret@bucket/scans"
    for source, out in ((hidden, str(tmp_path)), (str(tmp_path), hidden)):
        with pytest.raises(BulkError, match="put it where") as found:
            bulk.alone(source, out)
        assert "secret@" not in str(found.value)


class Store(MemoryFileSystem):  # type: ignore[misc]
    """Reads as s3fs 2026.9.0 does: another second argument, and no range of an empty object."""

    protocol = "likes3"
    store: ClassVar[dict[str, Any]] = {}

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.removeprefix("likes3://")))

    def cat_file(self, path: str, version_id: object = None, start: object = None, end: object = None) -> bytes:
        assert version_id is None
        if start is not None and not self.info(path)["size"]:
            raise OSError(22, "The requested range is not satisfiable")
        return bytes(super().cat_file(path, start, end))


def test_a_store_that_reads_as_s3_does() -> None:
    fsspec.register_implementation("likes3", Store, clobber=True)
    system = fsspec.filesystem("likes3")
    system.pipe_file("/a", b"0123456789")
    system.pipe_file("/empty", b"")
    assert read("likes3:///a", 3) == b"0123"
    assert read("likes3:///a", 30) == b"0123456789"
    assert read("likes3:///empty", 3) == b""
    with pytest.raises(FileNotFoundError):
        read("likes3:///gone", 3)


def idle(process: subprocess.Popen[bytes]) -> bool:
    """Whether it does nothing for a second: it waits."""
    before = psutil.Process(process.pid).cpu_times()
    time.sleep(1)
    return psutil.Process(process.pid).cpu_times() == before


def test_told_twice_it_ends_at_once(bulk: Bulk, tmp_path: Path) -> None:
    """Also with a scan in work that takes for ever; no worker stays."""
    source, out = draw(tmp_path / "in", 200), tmp_path / "out"
    process = driver(bulk, source, out)
    until(lambda: written(out) > 0 or process.poll() is not None)
    children = psutil.Process(process.pid).children(recursive=True)
    for one in children:  # whoever is stopped never answers
        if "resource_tracker" not in " ".join(one.cmdline()):
            os.kill(one.pid, signal.SIGSTOP)
    until(lambda: idle(process))  # it has dealt out what they will not do
    process.send_signal(signal.SIGINT)
    with pytest.raises(Exception, match="timed out"):
        process.wait(2)  # it waits for what is in work, which does not come
    process.send_signal(signal.SIGINT)
    assert process.wait(300) == 130
    until(lambda: not any(map(lives, children)), "workers stayed")
    done = len(rows(out))
    assert bulk.alone(source, out).done == 200 - done
