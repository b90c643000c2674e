"""Runs over folders against a front door that answers at once or when told: two at a time, ended, killed, on a full
disk, over names of all kinds."""

from __future__ import annotations

import csv
import errno
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.programs import environment
from brainseg_client import batch, command, files, records
from brainseg_client.files import LARGEST_SCAN, UNFINISHED, write_atomic
from brainseg_client.jobs import Job
from brainseg_client.lock import FolderInUseError, alone_in
from tests.client.standin import Door, standing
from tests.waiting import BOUND_SECONDS, until
from web.contract.fields import REQUEST_BYTES


@pytest.fixture
def door() -> Iterator[Door]:
    with standing() as found:
        yield found


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "case"
    folder.mkdir()
    for number in range(12):
        (folder / f"{number:02}.png").write_bytes(bytes([number]))
    return folder


def segment(door: Door, *arguments: object) -> int:
    return command.main(["segment", *map(str, arguments), "--url", door.url])


def started(door: Door, *arguments: object) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "brainseg_client", "segment", *map(str, arguments), "--url", door.url]
    return subprocess.Popen(
        line, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
    )  # fmt: skip


def rows(out: Path, table: str = "measurements.csv") -> list[dict[str, str]]:
    with (out / table).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# Two runs, and runs that end in the middle.


def test_two_runs_never_write_into_one_folder(
    door: Door, scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    door.open.clear()
    first = started(door, scans, "--out", out)
    until(lambda: len(door.sizes) >= 4)
    assert segment(door, scans, "--out", out, "--threshold", 0.3) == command.USAGE
    assert "another run writes into" in capsys.readouterr().err
    door.open.set()
    assert first.wait(BOUND_SECONDS) == 0
    assert {row["threshold"] for row in rows(out)} == {"0.5"}
    assert len(door.sizes) == 12
    assert segment(door, scans, "--out", out) == 0  # the lock's file stays, the lock does not


def test_a_folder_is_held_until_its_run_is_dead(tmp_path: Path) -> None:
    with alone_in(tmp_path), pytest.raises(FolderInUseError, match="--out of its own"), alone_in(tmp_path):
        pass
    with alone_in(tmp_path):
        pass


def test_a_record_vouches_for_its_own_pictures_only(
    door: Door, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between picture and record, asked again as before: the pair is not taken for done."""
    out, scan = tmp_path / "out", scans / "00.png"
    assert segment(door, scan, "--out", out) == 0

    def dies(path: Path, data: bytes) -> None:
        if path.suffix == ".json":
            raise KeyboardInterrupt
        write_atomic(path, data + b"of another threshold")

    with monkeypatch.context() as patch:
        patch.setattr(records, "write_atomic", dies)
        assert segment(door, scan, "--out", out, "--threshold", 0.9) == 130
    assert not (out / "00.json").exists()
    assert segment(door, scan, "--out", out) == 0
    assert len(door.sizes) == 3


def test_a_picture_that_changed_is_done_again(door: Door, scans: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert segment(door, scans / "00.png", "--out", out) == 0
    kept = (out / "00.overlay.png").read_bytes()
    (out / "00.overlay.png").write_bytes(kept[:-1] + b"!")
    assert segment(door, scans / "00.png", "--out", out) == 0
    assert len(door.sizes) == 2
    assert (out / "00.overlay.png").read_bytes() == kept


def test_the_first_interrupt_ends_it_after_the_request_in_hand(door: Door, scans: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    door.open.clear()
    run = started(door, scans, "--out", out, "--parallel", 2)
    until(lambda: len(door.sizes) >= 2)
    run.send_signal(signal.SIGINT)
    assert run.stderr is not None
    while "Ctrl-C again" not in run.stderr.readline():
        assert run.poll() is None
    door.open.set()
    printed, said = run.communicate(timeout=BOUND_SECONDS)
    assert run.returncode == 130
    assert "10 scans left" in said
    assert len(rows(out)) == len(door.sizes) == 2
    assert "2 of 12 scans" in printed


def test_the_second_interrupt_ends_it_at_once(door: Door, scans: Path, tmp_path: Path) -> None:
    door.open.clear()  # and stays so: nothing is answered
    run = started(door, scans, "--out", tmp_path / "out")
    until(lambda: len(door.sizes) >= 4)
    run.send_signal(signal.SIGINT)
    assert run.stderr is not None
    while "Ctrl-C again" not in run.stderr.readline():
        assert run.poll() is None
    run.send_signal(signal.SIGINT)
    assert run.wait(BOUND_SECONDS) == 130
    run.communicate()


def test_an_interrupt_ends_the_wait_for_a_busy_server(door: Door, scans: Path, tmp_path: Path) -> None:
    door.busy = 0
    run = started(door, scans, "--out", tmp_path / "out", "--patience", 10_000)
    until(lambda: door.keys, "nobody was sent away")
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=BOUND_SECONDS)
    assert run.returncode == 130
    assert "12 scans left" in said
    assert "stopped" not in said


def test_tables_hold_what_earlier_runs_have_done(
    door: Door, scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert segment(door, scans, "--out", out) == 0
    for number in range(3):
        (scans / f"{number:02}.png").write_bytes(b"changed")
    door.busy = len(door.sizes) + 1
    assert segment(door, scans, "--out", out, "--patience", 0, "--parallel", 1) == command_status("NO_SERVER")
    table = rows(out)
    assert [row["file"] for row in table] == [f"case/{number:02}.png" for number in range(12)]
    assert len(rows(out, "slices.csv")) == 12
    door.busy = None
    capsys.readouterr()
    (scans.parent / "other.png").write_bytes(b"other")
    assert segment(door, scans.parent / "other.png", "--out", out, "--threshold", 0.25) == 0
    assert [(row["file"], row["threshold"]) for row in rows(out)][:2] == [("other.png", "0.25"), ("case/00.png", "0.5")]
    assert "12 rows of the tables are of earlier runs with other settings" in capsys.readouterr().err


def command_status(name: str) -> int:
    from brainseg_client import segment as module

    return int(getattr(module, name))


# The disk, and what is on it.


def test_a_full_disk_stops_the_run_and_is_no_fault_of_the_scan(
    door: Door, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(path: Path, data: bytes) -> None:
        if "05" in path.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        write_atomic(path, data)

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(records, "write_atomic", full)
        assert segment(door, scans, "--out", out, "--parallel", 1) == command_status("NO_ROOM")
    said = capsys.readouterr().err
    assert "No space left on device" in said
    assert "unreadable" not in said
    assert len(rows(out)) == len(list(out.rglob("*.json"))) < 12
    assert segment(door, scans, "--out", out) == 0
    assert len(rows(out)) == 12


def test_one_name_that_is_too_long_is_no_full_disk(door: Door, scans: Path, tmp_path: Path) -> None:
    (scans / f"{'x' * 249}.png").write_bytes(b"long")
    out = tmp_path / "out"
    assert segment(door, scans, "--out", out) == 1
    table = {row["file"]: row["outcome"] for row in rows(out)}
    assert table.pop(f"case/{'x' * 249}.png") == "unreadable"
    assert set(table.values()) == {"ok"}


@pytest.mark.parametrize(("umask", "mode"), [(0o077, 0o600), (0o022, 0o644), (0o027, 0o640), (0o000, 0o644)])
def test_results_are_never_wider_than_the_umask(umask: int, mode: int, door: Door, scans: Path, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        assert segment(door, scans / "00.png", "--out", tmp_path / "out") == 0
    finally:
        os.umask(before)
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(written) == 6
    assert {stat.S_IMODE(path.stat().st_mode) for path in written} == {mode}


def test_what_a_killed_run_left_is_swept(door: Door, scans: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "case"
    out.mkdir(parents=True)
    (out / f".0123{UNFINISHED}").write_bytes(b"half a picture")
    (out / ".mine").write_bytes(b"")
    assert segment(door, scans, "--out", tmp_path / "out") == 0
    assert [path.name for path in out.glob(".*")] == [".mine"]


def test_a_file_over_the_limit_is_told_so_before_it_is_read(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert LARGEST_SCAN == REQUEST_BYTES
    large = tmp_path / "large.tiff"
    with large.open("wb") as file:
        file.truncate(2**31)  # sparse
    (tmp_path / "small.png").write_bytes(b"x")
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} was read whole"))
    assert segment(door, large, tmp_path / "small.png", "--out", tmp_path / "out") == 1
    assert [(row["file"], row["outcome"]) for row in rows(tmp_path / "out")] == [
        ("large.tiff", "too_large"),
        ("small.png", "ok"),
    ]
    assert door.sizes == [1]


def test_a_file_that_grows_is_not_read_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LARGEST_SCAN", 10)
    with pytest.raises(files.ScanError, match="11 bytes"):
        files.read_scan(Path("/dev/zero"))


# Names.


def test_names_of_all_kinds_survive_in_record_table_and_terminal(
    door: Door, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "case"
    folder.mkdir()
    names = [b"\xff.png", b"[red]a[b.png", b"=1+1.png", b'a,"b"\n.png', "Übung.png".encode(), b"c\\xff.png"]
    for name in names:
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(name)
    given = [Path(os.fsdecode(os.fsencode(folder) + b"/" + name)) for name in names]
    given[3].write_bytes(bytes(LARGEST_SCAN + 1))  # refused: its name is printed
    out = tmp_path / "out"
    assert segment(door, *[str(path) for path in given], "--out", out) == 1
    printed = capsys.readouterr()
    shown = [r"\xff.png", "[red]a[b.png", "=1+1.png", r'a,"b"\x0a.png', "Übung.png", r"c\\xff.png"]
    assert [row["file"] for row in rows(out)] == ["./=1+1.png" if name == "=1+1.png" else name for name in shown]
    assert r'a,"b"\x0a.png: too_large' in printed.err
    kept = {json.loads(path.read_text(encoding="utf-8"))["file"] for path in out.glob("*.json")}
    assert kept == {*shown} - {shown[3]}
    assert (out / os.fsdecode(b"\xff.mask.png")).is_file()
    assert segment(door, folder, "--out", out) == 1
    assert len(door.sizes) == 10  # by folder they have other names; none was done twice under one


@pytest.mark.parametrize("status", [422, 401])
def test_a_servers_words_reach_no_terminal_nor_spreadsheet_as_commands(
    status: int, door: Door, scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    door.problem = {"status": status, "code": "=1+1", "detail": "=2\x1b[2J\udcff"}
    assert segment(door, scans / "00.png", "--out", tmp_path / "out") == (1 if status == 422 else 3)
    said = capsys.readouterr().err
    assert r"=2\x1b[2J\xff" in said
    assert "\x1b" not in said
    told = [(row["outcome"], row["detail"][:3]) for row in rows(tmp_path / "out")]
    assert told == ([("'=1+1", "'=2")] if status == 422 else [])


def test_a_terminal_that_knows_no_such_letter_still_gets_the_line(door: Door, tmp_path: Path) -> None:
    scan = tmp_path / "Übung.png"
    scan.write_bytes(bytes(LARGEST_SCAN + 1))
    line = [sys.executable, "-m", "brainseg_client", "segment", str(scan), "--out", str(tmp_path / "out")]
    variables = {**environment(), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [*line, "--url", door.url], env=variables, capture_output=True, timeout=BOUND_SECONDS, check=False
    )
    assert done.returncode == 1
    assert rb"\xdcbung.png: too_large" in done.stderr


# Options.


@pytest.mark.parametrize(
    "wrong",
    [
        ["--parallel", "0"], ["--parallel", "17"], ["--parallel", "x"], ["--patience", "-1"], ["--patience", "nan"],
        ["--threshold", "1"], ["--min-lesion-pixels", "-1"], ["--thres", "0.4"], ["--url", "http://127.0.0.1:70000"],
        ["--api-key-file", "missing"],
    ],
)  # fmt: skip
def test_wrong_options_are_said_and_nothing_is_made(
    wrong: list[str], scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["segment", str(scans), "--out", str(tmp_path / "out"), *wrong]) == 2
    assert capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("empty", ["", " "])
@pytest.mark.parametrize(
    "given",
    [
        "segment a.png --out {}", "segment {} --out out", "segment --dicomweb http://x --study 1 --out {}",
        "explain a.png --out {}", "explain {} --out out", "classify {}", "verify a.json a.png --keys {}",
        "verify a.json flair={}", "classify a.png --api-key-file {}",
    ],
)  # fmt: skip
def test_an_empty_path_is_not_where_one_stands(
    given: str, empty: str, door: Door, scans: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(scans)
    monkeypatch.setenv("BRAINSEG_URL", door.url)
    there = sorted(scans.rglob("*"))
    assert command.main([word.format(empty) for word in given.split()]) == 2
    assert "it is empty, expected a file or a folder" in capsys.readouterr().err
    assert (sorted(scans.rglob("*")), door.paths) == (there, [])


def test_files_and_options_may_be_mixed_and_the_key_goes_along(door: Door, scans: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("ward-7 0123456789abcdef0123\n")
    arguments = [scans / "00.png", "--out", tmp_path / "out", "--api-key-file", key, scans / "01.png"]
    assert segment(door, *arguments) == 0
    assert door.keys == {"Bearer 0123456789abcdef0123"}
    assert len(door.sizes) == 2


def test_scans_that_the_server_does_not_assess_have_a_record_and_no_mask(
    door: Door, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = door.answer
    monkeypatch.setattr(door, "answer", lambda scan, t, _: {**answer(scan, t, False), "verdict": "not_assessed"})
    out = tmp_path / "out"
    assert segment(door, scans / "00.png", "--out", out) == 0
    assert "1 not assessed" in capsys.readouterr().out
    assert sorted(path.name for path in out.glob("0*")) == ["00.json"]
    assert segment(door, scans / "00.png", "--out", out) == 0
    assert len(door.sizes) == 1


def test_a_job_is_told_to_stop_before_it_begins(tmp_path: Path) -> None:
    job = Job(tmp_path / "missing.png", "missing.png", tmp_path / "missing")
    with pytest.raises(batch.StoppedError):
        batch.run_job(None, job, records.Asked("1.0", None, None), lambda: True)  # type: ignore[arg-type]
