"""Taking a version out without losing a request of it."""

from __future__ import annotations

import contextlib
import time

import psutil

from rollout.errors import RolloutError
from rollout.server import TorchServe

POLL_SECONDS = 0.2
SETTLE_SECONDS = (
    0.5  # a request that was given to this version just before another became the default has arrived by then
)
BARRIER_SECONDS = 10.0
QUIET_SECONDS, QUIET_SHARE = 0.5, 0.1


def wait_idle(server: TorchServe, version: str, seconds: float) -> bool:
    """Whether nothing is queued for ``version`` and its workers are idle, waited for at most ``seconds``.

    TorchServe tells what is queued but not what a worker is at. So a question is queued behind everything: when a lone
    worker answers it, that worker is idle. Of several one may answer while another works: that one shows by its CPU."""
    deadline = time.monotonic() + seconds
    time.sleep(min(SETTLE_SECONDS, seconds))
    while (left := deadline - time.monotonic()) > 0:
        found = server.version(version)
        if found is None or not (found.pending or found.ready):
            return True
        if not found.pending and found.ready and server.barrier(version, min(BARRIER_SECONDS, left)):
            later = server.version(version)
            if later is None or (not later.pending and (len(later.pids) == 1 or _quiet(later.pids))):
                return True
        time.sleep(POLL_SECONDS)
    return False


def _quiet(pids: tuple[int, ...]) -> bool:
    """Whether the processes use no CPU to speak of for a moment."""
    before = _cpu_seconds(pids)
    time.sleep(QUIET_SECONDS)
    return _cpu_seconds(pids) - before < QUIET_SHARE * QUIET_SECONDS


def _cpu_seconds(pids: tuple[int, ...]) -> float:
    used = 0.0
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = psutil.Process(pid).cpu_times()
            used += times.user + times.system
    return used


def retire(server: TorchServe, version: str, seconds: float) -> bool:
    """Unregisters ``version`` once it is idle; False when it is not within ``seconds``, and then it stays. Raises
    :class:`RolloutError` for the default, which must never go."""
    _not_default(server, version)
    if not wait_idle(server, version, seconds):
        return False
    remove(server, version)
    return True


def remove(server: TorchServe, version: str) -> None:
    """Unregisters ``version`` whatever it is doing; nothing happens when it is not registered."""
    _not_default(server, version)
    if server.version(version) is not None:
        server.unregister(version)


def _not_default(server: TorchServe, version: str) -> None:
    if server.default() == version:
        raise RolloutError(f"version {version} is TorchServe's default and stays: requests without a version need it")
