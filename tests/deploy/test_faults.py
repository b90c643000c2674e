"""What takes hours to be told: faults made on a whole BrainSeg, before a real Prometheus. The rules are those that are
shipped, an hour being six seconds; a day's budget, a window of drift and a disk are then told within minutes."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest
import requests
import tifffile

from archive.store import archive_path, release_folder
from handler.card import FileRecord, read_card
from handler.drift import HEADER
from handler.pipeline import answer, open_model
from handler.trust.gate import WEIGHTS_FILE, settings_of
from prove.server import Server
from tests.deploy.prometheus import Prometheus, prometheus
from tests.disks import grow, small_disk
from tests.gates import by_t1, network_by_t1
from tests.serving.test_operations import manage
from tests.tiny import package_quietly
from tests.waiting import until

pytestmark = [pytest.mark.server, pytest.mark.long]  # windows of days, even so shortened: minutes
SHORTER = 600
CUT = 0.7  # of the gate, above which a first channel is foreign
PAGES = 100  # a block of the window of drift


def stack(t1: int, flair: int, pages: int = PAGES) -> bytes:
    """A disc on black, as bright as is said in those two channels, as a TIFF of ``pages``."""
    y, x = np.mgrid[:64, :64]
    page = ((x - 32) ** 2 + (y - 32) ** 2 < 600)[..., None] * np.array([t1, flair, 60])
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.broadcast_to(page.astype(np.uint8), (pages, 64, 64, 3)), photometric="rgb")
    return buffer.getvalue()


USUAL, ENHANCED, FOREIGN = (60, 60), (60, 220), (240, 60)


def write_store(store: Path, detector_store: Path) -> None:
    """1.0 (the default) with a gate and what it expects to see, :data:`USUAL` scans; 2.0 beside it."""
    shutil.copytree(detector_store, store)
    archive_path("1.0", store).unlink()
    release = release_folder("1.0", store)
    (release / WEIGHTS_FILE).write_bytes(network_by_t1(CUT))
    trust = {"gate": settings_of(by_t1(CUT), FileRecord.of(release / WEIGHTS_FILE))}
    card = read_card(release)
    card.with_changes(trust=trust).write(release)
    told = answer(open_model(release, "torch", 1), {"body": stack(*USUAL)}, {"X-BrainSeg-Outputs": "none"}).answer
    card.with_changes(trust={**trust, "drift": json.loads(dict(told.headers)[HEADER])}).write(release)
    package_quietly(release, archive_path("1.0", store))


@dataclass(frozen=True)
class Ward:
    """A server, the Prometheus before it, and the disk of its state folder."""

    server: Server
    here: Prometheus
    disk: Path

    def send(self, scan: tuple[int, int], pages: int = 1) -> int:
        body = stack(*scan, pages)
        return requests.post(f"{self.server.door}/api/v1/segment?outputs=none", data=body, timeout=300).status_code

    def scale(self, version: str, workers: int) -> None:
        number = str(workers)
        reply = manage(
            self.server, "PUT", f"/brainseg/{version}", min_worker=number, max_worker=number, synchronous="true"
        )
        assert reply.ok, reply.text


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory, detector_store: Path) -> Iterator[Ward]:
    """The state folder lies on a disk of 500 MB."""
    folder = tmp_path_factory.mktemp("faults")
    with small_disk(500) as disk:
        write_store(folder / "store", detector_store)
        server = Server(folder / "store", disk / "state")
        try:
            server.start()
            with prometheus(folder, {"brainseg": f"127.0.0.1:{server.port}"}, shorter=SHORTER) as here:
                until(lambda: here.value("brainseg_front_ready") == 1, "it is ready")
                yield Ward(server, here, disk)
        finally:
            server.kill()


def fires_and_clears(ward: Ward, alert: str, fault: Callable[[], object], mended: Callable[[], object]) -> None:
    """``fault`` is made until ``alert`` fires, then ``mended`` until it does not."""
    assert not ward.here.fires(alert)

    def told() -> bool:
        fault()
        return ward.here.fires(alert)

    def cleared() -> bool:
        mended()
        return not ward.here.fires(alert)

    until(told, f"{alert} does not fire", every=0.2)
    until(cleared, f"{alert} does not clear", every=0.2)


def test_a_disk_that_fills_is_told(ward: Ward) -> None:
    until(lambda: ward.here.fires("BrainSegDiskLow"), "500 MB are enough")
    grow(ward.disk, 2000)
    until(lambda: not ward.here.fires("BrainSegDiskLow"), "it does not clear")


def test_a_version_beside_the_live_one_whose_workers_die_is_told(ward: Ward) -> None:
    def kill() -> None:
        assert ward.here.value("brainseg_front_ready") == 1
        for pid in ward.server.worker_pids("2.0"):
            with suppress(psutil.Error, ValueError):  # -1 is one that is gone
                worker = psutil.Process(pid)
                if any("model_service_worker" in word for word in worker.cmdline()):
                    worker.kill()

    fires_and_clears(ward, "BrainSegDegraded", kill, lambda: None)


def test_scans_that_the_model_does_not_know_are_told(ward: Ward) -> None:
    fires_and_clears(ward, "BrainSegGateRefusals", lambda: ward.send(FOREIGN), lambda: ward.send(USUAL))


def test_a_budget_that_is_spent_slowly_is_told(ward: Ward) -> None:
    """One fault among many scans: too few to wake anybody."""
    assert not ward.here.fires("BrainSegBudgetSlow")
    ward.scale("1.0", 0)
    try:
        until(lambda: ward.here.value("brainseg_front_ready") == 0, "nobody misses them")
        assert ward.send(USUAL) == 503
    finally:
        ward.scale("1.0", 1)
    until(lambda: ward.send(USUAL) and ward.here.fires("BrainSegBudgetSlow"), "a lost scan is no matter", every=0.2)
    until(lambda: ward.send(USUAL) and not ward.here.fires("BrainSegBudgetSlow"), "it does not clear", every=0.2)


def test_scans_that_change_are_told(ward: Ward) -> None:
    def usual() -> None:
        ward.send(USUAL, PAGES)

    fires_and_clears(ward, "BrainSegDrift", lambda: ward.send(ENHANCED, PAGES), usual)
