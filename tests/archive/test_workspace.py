"""Where packaging works: room enough, nothing left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from archive import workspace as workspaces
from archive.store import ROOT
from archive.workspace import LOCK_FILE, PREFIX, NoRoomError, alone_in, check_room, sweep, workspace
from tests.disks import small_disk

HOLD = """
import sys, time
from archive.workspace import workspace
with workspace(1) as folder:
    (folder / "network.pt").write_bytes(b"x" * 1000)
    print(folder, flush=True)
    time.sleep(600)
"""


def test_what_a_killed_run_left_is_swept_and_a_living_ones_is_not(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD], cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        assert folder.parent == tmp_path
        assert sweep(tmp_path) == []
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        assert (folder / "network.pt").exists(), "nothing was left behind: this test shows nothing"
        assert sweep(tmp_path) == [folder]
    finally:
        process.kill()
        process.communicate()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_lock_is_left_alone_for_a_day(tmp_path: Path) -> None:
    fresh, old, others = (tmp_path / name for name in (f"{PREFIX}a", f"{PREFIX}b", "else"))
    for folder in (fresh, old, others):
        folder.mkdir()
        os.utime(folder, (0, 0))
    os.utime(fresh)
    (tmp_path / f"{PREFIX}link").symlink_to(others)
    assert sweep(tmp_path) == [old]
    assert others.is_dir()


def test_half_written_archives_are_swept_before_one_is_written(tmp_path: Path) -> None:
    half, other = tmp_path / ".brainseg-2.0.mar.abc", tmp_path / ".brainseg-3.0.mar.abc"
    for path in (half, other):
        path.write_bytes(b"half")
    with alone_in(tmp_path, "brainseg-2.0.mar"):
        assert not half.exists()
        assert other.exists()


def test_too_little_room_is_said_before_anything_is_done(tmp_path: Path) -> None:
    with pytest.raises(NoRoomError, match=r"MiB free; packaging needs 1\d+.*TMPDIR"):
        check_room(tmp_path, 1 << 60, "packaging")


def test_a_disk_that_fills_up_is_named_whatever_the_library_says(monkeypatch: pytest.MonkeyPatch) -> None:
    with small_disk(12) as disk:
        monkeypatch.setattr(tempfile, "tempdir", str(disk))
        with pytest.raises(NoRoomError, match="MiB free"), workspace(4 << 20):
            pytest.fail("it began")
        monkeypatch.setattr(workspaces, "SPARE_BYTES", 0)
        with pytest.raises(NoRoomError, match="is full") as caught:
            _work_until_it_is_full()
        assert "frame" not in str(caught.value)
        assert list(disk.iterdir()) == []


def _work_until_it_is_full() -> None:
    with workspace(1 << 20) as folder:
        assert (folder / LOCK_FILE).exists()
        with (folder / "big").open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(b"\0" * 4096):
                pass
        raise RuntimeError("[enforce fail at inline_container.cc:626]\nframe #0: …")
