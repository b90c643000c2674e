"""An archive that was verified -> workers that answer, beside the live version."""

from __future__ import annotations

import re
import time
from pathlib import Path

import psutil
import requests

from archive.verify import Release
from archive.workspace import SPARE_BYTES
from archive.workspace import check_room as space
from handler.files import write_atomic
from rollout.errors import RolloutError, StartError
from rollout.limits import StartLimits
from rollout.server import TorchServe

POLL_SECONDS = 0.3
LOG_SECONDS = 5.0
MIB = 2**20
_WRAPPED = re.compile(r": 50\d - ")  # TorchServe's worker says of any fault "RuntimeError: 500 - Unknown exception"
REFUSES = "BrainSeg refuses to start: "
_FAULT = re.compile(r"(BrainSeg refuses to start: .*|\b[A-Za-z_.]+(?:Error|Exception|Exit): .*)")


def check_disks(release: Release, store: Path, state: Path) -> None:
    """Raises :class:`StartError` when there is no room for the archive in the model store, or for what is written down
    in the state folder."""
    try:
        space(store, len(release.content) + SPARE_BYTES, release.file_name)
        space(state, SPARE_BYTES, "what is written down of a deploy")
    except OSError as error:
        raise StartError(f"{error} Nothing was changed.") from error


def copy_archive(release: Release, store: Path) -> None:
    """The verified bytes themselves into the model store: what was checked is what will be loaded. Raises
    :class:`StartError` when they cannot be written; then nothing of them is left."""
    try:
        write_atomic(store / release.file_name, release.content)
    except OSError as error:
        raise StartError(f"{release.file_name} could not be copied into the model store: {error}") from error


def resident_mib(pids: tuple[int, ...]) -> float:
    """Resident memory in MiB of the largest of the processes ``pids``; 0 when none is there any more."""
    sizes = [0.0]
    for pid in pids:
        try:
            sizes.append(psutil.Process(pid).memory_info().rss / MIB)
        except psutil.NoSuchProcess:
            continue
    return max(sizes)


def check_room(server: TorchServe) -> None:
    """Raises :class:`StartError` when the machine has no memory for one more worker as large as the live one."""
    live = server.version(server.default())
    needed = resident_mib(live.pids if live else ())
    free = psutil.virtual_memory().available / MIB
    if free < needed:
        raise StartError(
            f"{free:.0f} MiB of memory are free and a worker of the live version has {needed:.0f}: a candidate "
            "beside it would endanger it. Free some, or retire a version."
        )


def start(server: TorchServe, version: str, archive: str, limits: StartLimits) -> float:
    """Registers ``archive`` and waits until all workers of ``version`` are READY; the seconds that took. Raises
    :class:`StartError` with what the log says of the reason."""
    begin, log = time.monotonic(), Log(server.logs / "torchserve.log")
    try:
        # As those that serve now, which scripts/serve has chosen for this machine.
        live = server.version(server.default())
        server.register(archive, limits.seconds, live.batch if live else (1, 1))
        if live is not None and live.wanted > 1:
            server.scale(version, live.wanted)
        while not ((found := server.version(version)) and found.complete):
            if time.monotonic() - begin > limits.seconds:
                raise requests.Timeout
            time.sleep(POLL_SECONDS)
    except requests.Timeout as error:
        raise StartError(f"version {version} had no READY worker after {limits.seconds:.0f} s{log.fault()}") from error
    except RolloutError as error:
        if error.code != RolloutError.code:
            raise
        raise StartError(f"version {version} does not start{log.fault() or f': {error}'}") from error
    return time.monotonic() - begin


class Log:
    """What is added to a log file from now on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._begin = path.stat().st_size if path.exists() else 0

    def refusal(self) -> str:
        """Why a release does not start, as soon as that is certain, empty until then: it said that it refuses, or its
        worker ended in the same way twice, as it would for ever."""
        own = self._own()
        refused = [fault for fault in own if fault.startswith(REFUSES)]
        return next((fault for fault in (*refused, *own) if fault in refused or own.count(fault) > 1), "")

    def fault(self) -> str:
        """The last error of a worker since, as ``: reason``; empty if there is none. TorchServe answers that a worker
        failed while it still reads what that one printed: this waits until the reason has come and stays the same."""
        deadline, before, found = time.monotonic() + LOG_SECONDS, "", self._last()
        while time.monotonic() < deadline and (not found or found != before):
            time.sleep(POLL_SECONDS)
            before, found = found, self._last()
        return found

    def _last(self) -> str:
        own = self._own()
        return f": {own[-1]}" if own else ""

    def _own(self) -> list[str]:
        """The errors of workers so far, without what TorchServe says of them."""
        try:
            with self.path.open("rb") as file:
                # A file that was rolled meanwhile is shorter: then all of it is new.
                file.seek(self._begin if self.path.stat().st_size >= self._begin else 0)
                lines = file.read().decode(errors="replace").splitlines()
        except OSError:
            return []
        found = [match[1] for line in lines if "MODEL_LOG" in line and (match := _FAULT.search(line))]
        # A worker that died for a reason of its own is followed by TorchServe's complaints about that.
        return [fault[:300] for fault in found if "org.pytorch" not in fault and not _WRAPPED.search(fault)]
