"""``scripts/predict``: a folder in, results out; interrupted and started again it finishes without doing work twice."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import requests
import tifffile

from archive.store import ROOT
from brainseg_client.jobs import JobError, plan_jobs
from prove.server import environment
from tests.waiting import until

SCANS = 96  # enough to be interrupted in the middle on a fast machine


def command(door: str, *arguments: object) -> list[str]:
    return [str(ROOT / "scripts" / "predict"), *map(str, arguments), "--url", door]


def run(door: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(door, *arguments), capture_output=True, text=True, timeout=300, check=False, env=environment()
    )


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def answered(door: str) -> float:
    """How many scans the front door has had segmented."""
    line = 'brainseg_front_requests_total{code="ok",route="api.segment"} '
    text = requests.get(f"{door}/metrics", timeout=120).text
    return float(next((one.removeprefix(line) for one in text.splitlines() if one.startswith(line)), "0"))


@pytest.fixture
def folder(tmp_path: Path, lesion: bytes, healthy: bytes) -> Path:
    """Scans that differ by some bytes after the picture's end."""
    place = tmp_path / "case"
    (place / "later").mkdir(parents=True)
    for n in range(SCANS):
        where = place / "later" if n % 3 == 0 else place
        (where / f"slice_{n:02}.png").write_bytes((lesion if n % 2 else healthy) + bytes([n]))
    (place / "slice_01_mask.png").write_bytes(lesion)
    (place / ".hidden.png").write_bytes(lesion)
    (place / "notes.txt").write_text("no scan")
    return place


@pytest.mark.server
def test_files_folders_and_refused_scans(
    door: str, tmp_path: Path, lesion: bytes, healthy: bytes, stack: bytes
) -> None:
    for name, data in (("a.png", lesion), ("b.png", healthy), ("c.tiff", stack), ("d.png", lesion[:999])):
        (tmp_path / name).write_bytes(data)
    out = tmp_path / "out"
    ended = run(door, *(tmp_path / name for name in ("a.png", "b.png", "c.tiff", "d.png")), "--out", out)
    assert ended.returncode == 1, ended.stderr
    assert "2 with tumour, 1 without, 1 failed" in ended.stdout
    assert "corrupt_image" in ended.stderr
    table = {row["file"]: row for row in rows(out / "measurements.csv")}
    assert [table[name]["outcome"] for name in sorted(table)] == ["ok", "ok", "ok", "corrupt_image"]
    mask = imagecodecs.png_decode((out / "a.mask.png").read_bytes())
    assert np.count_nonzero(mask) == int(table["a.png"]["tumor_pixels"]) > 0
    assert table["b.png"]["verdict"] == "no_tumor_detected"
    assert tifffile.imread(out / "c.mask.tiff").shape == (8, 256, 256)
    assert tifffile.imread(out / "c.overlay.tiff").shape == (8, 256, 256, 3)
    slices = [row for row in rows(out / "slices.csv") if row["file"] == "c.tiff"]
    assert sum(int(row["tumor_pixels"]) for row in slices) == int(table["c.tiff"]["tumor_pixels"])


def _hears_interrupts() -> None:
    """A shell has its background jobs, and so all they start, ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.server
@pytest.mark.slow
def test_interrupted_and_started_again_it_does_no_work_twice(door: str, folder: Path, tmp_path: Path) -> None:
    out, before = tmp_path / "out", answered(door)
    first = subprocess.Popen(
        command(door, folder, "--out", out, "--parallel", 2),
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
        preexec_fn=_hears_interrupts,
    )
    until(lambda: len(list(out.rglob("*.json"))) >= 4, "no four results", 0.02)
    first.send_signal(signal.SIGINT)
    printed, _ = first.communicate(timeout=120)
    assert first.returncode == 130, printed
    done = {path: path.stat().st_mtime_ns for path in out.rglob("*.json")}
    assert 4 <= len(done) < SCANS
    second = run(door, folder, "--out", out)
    assert second.returncode == 0, second.stderr
    assert f"({len(done)} done before)" in second.stdout
    assert all(path.stat().st_mtime_ns == written for path, written in done.items())
    assert len(rows(out / "measurements.csv")) == SCANS
    assert answered(door) - before == SCANS
    assert run(door, folder, "--out", out).returncode == 0
    assert answered(door) - before == SCANS
    # A record that is left over but was asked otherwise, and a scan that changed, are done again.
    (folder / "slice_01.png").write_bytes((folder / "slice_01.png").read_bytes() + b"!")
    assert f"({SCANS - 1} done before)" in run(door, folder, "--out", out).stdout
    assert "(0 done before)" in run(door, folder, "--out", out, "--threshold", "0.4").stdout


@pytest.mark.server
def test_killed_hard_it_leaves_no_half_result(door: str, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = subprocess.Popen(
        command(door, folder, "--out", out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=environment(), start_new_session=True,
    )  # fmt: skip
    until(lambda: list(out.rglob("*.json")), "no result", 0.02)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    for record in out.rglob("*.json"):
        assert record.with_name(record.name.replace(".json", ".mask.png")).is_file()
    assert run(door, folder, "--out", out).returncode == 0


def test_wrong_use_and_no_server(tmp_path: Path) -> None:
    nothing = run("http://127.0.0.1:9", tmp_path, "--out", tmp_path / "out")
    assert nothing.returncode == 2
    assert "no scan found" in nothing.stderr
    (tmp_path / "a.png").write_bytes(b"x")
    nobody = run("http://127.0.0.1:9", tmp_path, "--out", tmp_path / "out", "--patience", "0")
    assert nobody.returncode == 3
    assert "scripts/serve" in nobody.stderr


def test_a_plan_leaves_out_masks_hidden_files_and_its_own_results(folder: Path) -> None:
    out = folder / "results"
    out.mkdir()
    (out / "old.mask.png").write_bytes(b"x")
    jobs = plan_jobs([folder], out, "*_mask.*")
    assert len(jobs) == SCANS
    assert {job.name.split("/")[0] for job in jobs} == {"case"}
    assert len(plan_jobs([folder], out, "")) == SCANS + 1


def test_names_that_would_collide_are_kept_apart_or_refused(tmp_path: Path) -> None:
    for name in ("a.png", "a.tif", "one/b.png", "two/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    out = tmp_path / "out"
    both = plan_jobs([tmp_path / "a.png", tmp_path / "a.tif"], out, "")
    assert len({job.record for job in both}) == 2
    with pytest.raises(JobError, match=r"two scans are called b\.png"):
        plan_jobs([tmp_path / "one/b.png", tmp_path / "two/b.png"], out, "")
    with pytest.raises(JobError, match="neither a file nor a folder"):
        plan_jobs([tmp_path / "missing"], out, "")
