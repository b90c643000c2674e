"""Jobs of several clients: each has its own, and its share of the room."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.disks import small_disk
from tests.web.jobs.stage import SCAN, Asker, code, with_jobs
from tests.web.standin import Stage, standing_in

NAMES = ("ward", "clinic")


@pytest.fixture
def stage() -> Iterator[Stage]:
    with standing_in(Stage()) as stage:
        yield stage


@contextmanager
def with_keys(stage: Stage, folder: Path, **how: Any) -> Iterator[tuple[Asker, Asker, Asker]]:
    """Nobody, and two clients with keys."""
    (folder / "keys").write_text("".join(f"{name} {name * 8}\n" for name in NAMES))
    (folder / "keys").chmod(0o600)
    with with_jobs(stage, folder / "jobs", folder / "keys", **how) as nobody:
        ward, clinic = (Asker(nobody.inside, {"Authorization": f"Bearer {name * 8}"}) for name in NAMES)
        yield nobody, ward, clinic


def test_the_jobs_of_another_key_are_not_there(stage: Stage, tmp_path: Path) -> None:
    with with_keys(stage, tmp_path) as (nobody, ward, clinic):
        assert code(nobody.post(), 401) == "unauthorized"
        assert code(nobody.ask("GET", "/scan"), 401) == "unauthorized"
        assert ward.put("scan").status_code == 202
        ward.ended("scan")
        for reply in (clinic.ask("GET", "/scan"), clinic.result("scan"), clinic.ask("DELETE", "/scan")):
            assert code(reply, 404) == "job_not_found"
        assert clinic.put("scan", SCAN + b"other").status_code == 202  # an id is taken by its owner alone
        clinic.ended("scan")
        assert ward.result("scan").ok


def test_there_is_room_for_so_many(stage: Stage, tmp_path: Path) -> None:
    stage.hold()
    how = {"most": 4, "most_bytes": 5 * len(SCAN), "client_share": 0.75}
    with with_keys(stage, tmp_path, **how) as (_, ward, clinic):
        assert [ward.put(f"n{number}").status_code for number in range(3)] == [202] * 3
        full = ward.put("n3")
        assert code(full, 429) == "rate_limited"
        assert int(full.headers["Retry-After"]) > 0
        assert ward.put("n2").status_code == 202  # it is there already
        assert code(clinic.put("n0", SCAN * 3), 503) == "queue_full"  # of bytes
        assert clinic.put("n0").status_code == 202
        assert code(clinic.put("n1"), 503) == "queue_full"
        stage.goes_on.set()
        ward.ended("n2")
        clinic.ended("n0")
        assert clinic.put("n1").status_code == 202


@pytest.mark.slow
def test_a_job_whose_scan_the_disk_does_not_hold_is_refused_for_now(stage: Stage) -> None:
    with small_disk(24) as disk, with_jobs(stage, disk / "jobs") as asker:
        assert asker.put("before").status_code == 202
        filling = disk / "filling"
        with filling.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(65536)):
                pass
        full = asker.put("n1", SCAN * 1000)
        assert code(full, 503) == "queue_full"
        assert int(full.headers["Retry-After"]) > 0
        filling.unlink()
        assert asker.put("n1", SCAN * 1000).status_code == 202
        asker.ended("before")
        asker.ended("n1")
        assert asker.result("n1").ok
