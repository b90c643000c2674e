"""The gate: everything a candidate must show, beside the live version, before it answers anybody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from archive.verify import Release
from rollout.check import Check, above, joined
from rollout.errors import GateError, StartError
from rollout.latency import check_latency
from rollout.limits import Limits, MemoryLimits
from rollout.parity import check_parity
from rollout.register import resident_mib
from rollout.server import TorchServe

if TYPE_CHECKING:
    from training.data.slices import LabelledSlice

LATENCY_SAMPLE = "lesion.png"
Say = Callable[[Check], None]


def check_memory(server: TorchServe, candidate: str, live: str, limits: MemoryLimits) -> Check:
    """The largest worker's resident memory, once it has worked."""
    versions = server.versions()
    if candidate not in versions or not versions[candidate].pids:
        raise StartError(f"version {candidate} has no worker any more")
    own = resident_mib(versions[candidate].pids)
    other = resident_mib(versions[live].pids) if live in versions else 0.0
    breach = above("memory of a worker", own, limits.worker_mib, " MiB")
    if other:
        breach = joined(breach, above("memory", own / other, limits.ratio, " times the live version's"))
    figures = {"worker_mib": own, "live_worker_mib": other}
    return Check("memory", f"{own:.0f} MiB a worker (live {other:.0f})", breach, figures)


def _latency_scan(release: Release) -> bytes:
    return release.samples.get(LATENCY_SAMPLE) or next(iter(release.samples.values()))


def run_gate(
    server: TorchServe,
    release: Release,
    live: str,
    scans: Sequence[LabelledSlice],
    limits: Limits,
    say: Say,
    counting: Callable[[str, int], Callable[[], None]],
) -> dict[str, Any]:
    """The figures of all checks; ``say`` is given each as it is made. Raises :class:`GateError` with every limit that
    was broken. ``scans``: labelled slices, empty for none."""
    candidate = release.version
    checks = [check_parity(server, release.card, release.samples)]
    say(checks[0])
    if not checks[0].breach:  # a version that answers wrongly need not be measured
        later: list[Callable[[], Check]] = [
            lambda: _quality(server, candidate, live, scans, limits, counting),
            lambda: check_latency(server, candidate, live, _latency_scan(release), limits.latency),
            lambda: check_memory(server, candidate, live, limits.memory),
        ]
        for run in later:
            checks.append(run())
            say(checks[-1])
    figures: dict[str, Any] = {}
    for check in checks:
        figures |= check.figures
    if breaches := joined(*(f"{check.name}: {check.breach}" for check in checks if check.breach)):
        raise GateError(breaches, figures)
    return figures


def _quality(
    server: TorchServe,
    candidate: str,
    live: str,
    scans: Sequence[LabelledSlice],
    limits: Limits,
    counting: Callable[[str, int], Callable[[], None]],
) -> Check:
    if not scans:
        return Check("quality", "not measured: no labelled scans were given (--scans)")
    from rollout.quality import check_quality

    return check_quality(server, candidate, live, scans, limits.quality, counting("labelled scans", len(scans)))
