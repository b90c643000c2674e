"""The DICOM node as a program, between a scanner, a front door and an archive; killed at ten moments."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import JPEG2000Lossless
from pynetdicom import AE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from prove.drawn.volumes import SENTINEL, dicom_series, phantom
from prove.ways.store import StandInArchive
from tests.pacs.standins import StandInDoor, send

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
MINUTES = 300.0


def until(true: Callable[[], bool], what: str) -> None:
    """Waits for an event; the bound is for a machine that hangs."""
    deadline = time.monotonic() + MINUTES
    while not true():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.05)


@dataclass
class Program:
    """``scripts/dicom-node`` with a spool of its own."""

    spool: Path
    door: StandInDoor
    archive: StandInArchive
    settle: float = 1.0
    caller: str = "SCANNER"
    port: int = 0
    process: subprocess.Popen[str] | None = None
    log: list[str] = field(default_factory=list)

    def start(self) -> None:
        command = [sys.executable, "-m", "scripts.commands.dicom_node", "--destination", self.archive.address]
        command += ["--caller", self.caller, "--port", "0", "--spool", str(self.spool), "--url", self.door.url]
        command += ["--settle", str(self.settle)]
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'client'}", "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self.process.stdout
        greeting = self.process.stdout.readline()
        found = re.search(r"listens as BRAINSEG on 127.0.0.1:(\d+).*Research use only", greeting)
        assert found, greeting + self.process.stdout.read()
        self.port = int(found[1])
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout
        self.log.extend(process.stdout)

    def kill(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        assert self.process
        self.process.terminate()
        return self.process.wait(MINUTES)

    @property
    def printed(self) -> str:
        return "".join(self.log)


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    with StandInDoor() as door, StandInArchive() as archive:
        program = Program(tmp_path / "spool", door, archive)
        yield program
        if program.process and program.process.poll() is None:
            program.process.kill()
            program.process.wait()


def series(count: int = 3, **options: object) -> list[bytes]:
    files = dicom_series(phantom(size=(16, 16, count)), **options)  # type: ignore[arg-type]
    return [data for _, data in files]


def test_a_study_goes_in_and_its_results_go_on_once(program: Program) -> None:
    program.start()
    assert send(series(), program.port) == [0, 0, 0]
    until(lambda: "sent" in program.printed, "the study was sent on")
    assert len(program.archive.stored) == 2
    assert set(program.archive.stored.values()) == {1}
    assert program.door.studies == [3]
    assert send(series(), program.port) == [0, 0, 0]  # the scanner sends the same study again
    assert program.stop() == 0
    program.start()
    until(lambda: program.process is not None and program.process.poll() is None, "it runs again")
    assert send(series(4, study="2"), program.port) == [0] * 4
    until(lambda: len(program.archive.stored) == 4, "the other study was sent on")
    assert program.door.studies == [3, 4]
    assert SENTINEL not in program.printed
    until(lambda: not list((program.spool / "incoming").iterdir()), "the files are let go")


def test_compressed_objects_come_in_too(program: Program) -> None:
    program.start()
    assert send(series(transfer_syntax=JPEG2000Lossless), program.port) == [0, 0, 0]
    until(lambda: len(program.archive.stored) == 2, "the study was sent on")


def test_only_allowed_callers_are_let_in_and_an_echo_is_answered(program: Program) -> None:
    program.start()
    assert send(series(1), program.port, caller="STRANGER") == [None]
    assert send(series(1), program.port, title="SOMEBODYELSE") == [None]
    entity = AE(ae_title="SCANNER")
    entity.add_requested_context(Verification)
    link = entity.associate("127.0.0.1", program.port, ae_title="BRAINSEG")
    assert link.send_c_echo().Status == 0
    link.release()
    assert program.stop() == 0
    assert program.door.studies == []


def test_what_the_front_door_refuses_is_not_asked_again(program: Program) -> None:
    program.door.refusal = (422, b'{"code": "several_series", "detail": "There are 2 series."}')
    program.start()
    send(series(), program.port)
    until(lambda: "not segmented: several_series" in program.printed, "the refusal was logged")
    assert program.stop() == 0
    assert program.door.studies == [3]
    assert not program.archive.stored


def test_an_archive_that_is_full_is_asked_again_later(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    program.archive.broken = True
    program.start()
    send(series(), program.port)
    until(lambda: "0xA700" in program.printed, "the archive refused")
    program.archive.broken = False
    until(lambda: len(program.archive.stored) == 2, "the results were sent in the end")
    assert set(program.archive.stored.values()) == {1}


MOMENTS = [
    ("received", 1),
    ("received", 2),
    ("received", 3),
    ("asked", 1),
    ("answered", 1),
    ("sending", 1),
    ("stored", 1),
    ("sending", 2),
    ("stored", 2),
    ("queried", 1),
]


@pytest.mark.parametrize(("what", "time_of"), MOMENTS)
def test_killed_at_a_moment_nothing_is_lost_and_nothing_sent_twice(program: Program, what: str, time_of: int) -> None:
    """``sending`` is before the archive has an object, ``stored`` when it has it and the node does not know; the kill
    at ``queried`` is a second one, while the node asks the archive after the first."""
    seen: Counter[str] = Counter()
    begun: list[str] = []
    killed: list[str] = []

    def moment(name: str) -> None:
        seen[name] += 1
        first = ("stored", 1) if what == "queried" else (what, time_of)
        again = killed == ["stored"] and begun == ["stored"] and name == what == "queried"
        if (not begun and (name, seen[name]) == first) or again:
            begun.append(name)
            program.kill()
            killed.append(name)

    program.door.moment = program.archive.moment = moment
    program.start()
    files = series()
    waiting = list(files)
    while waiting:
        if program.process is None or program.process.poll() is not None:
            program.start()
        if send(waiting[:1], program.port) == [0]:
            waiting.pop(0)
            if what == "received":
                moment("received")
    if what != "received":
        until(lambda: bool(killed), f"killed at {what} {time_of}")
    if what == "queried":
        program.start()
        until(lambda: killed == ["stored", "queried"], "killed while it asked")
    if program.process is None or program.process.poll() is not None:
        program.start()
    until(lambda: len(program.archive.stored) == 2, "both results are there")
    until(lambda: "sent" in program.printed.rsplit("listens", 1)[-1], "the node says so")
    assert set(program.archive.stored.values()) == {1}, "an object was sent twice"
    assert program.stop() == 0


def test_the_results_are_of_the_patient_and_the_study(program: Program) -> None:
    """The stand-in's objects arrive as they were made."""
    program.start()
    files = series()
    send(files, program.port)
    until(lambda: len(program.archive.stored) == 2, "the results were sent")
    expected = {str(pydicom.dcmread(io.BytesIO(data)).SOPInstanceUID) for data in _objects(files)}
    assert set(program.archive.stored) == expected


def _objects(files: list[bytes]) -> list[bytes]:
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for number, data in enumerate(files):
            packed.writestr(str(number), data)
    with zipfile.ZipFile(io.BytesIO(StandInDoor.answer(buffer.getvalue()))) as answer:
        return [answer.read(name) for name in answer.namelist() if name.endswith(".dcm")]
