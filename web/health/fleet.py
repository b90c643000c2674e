"""What TorchServe's management port says about a model: its versions, their workers, the default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Worker:
    """``identity`` changes whenever the worker's process does."""

    identity: str
    status: str

    @property
    def ready(self) -> bool:
        return self.status == "READY"

    @property
    def name(self) -> str:
        """TorchServe's for the worker, which its next process has too."""
        return self.identity.partition("/")[0]


@dataclass(frozen=True)
class Version:
    """``wanted``: how many workers there should be; ``pending``: requests in TorchServe's queue for it."""

    version: str
    wanted: int
    workers: tuple[Worker, ...]
    pending: int

    @property
    def ready(self) -> int:
        return sum(worker.ready for worker in self.workers)

    @property
    def complete(self) -> bool:
        """Every wanted worker is there and READY."""
        return self.ready >= self.wanted

    @property
    def generation(self) -> frozenset[str]:
        """The processes that answer now: another set means that a worker has started since."""
        return frozenset(worker.identity for worker in self.workers if worker.ready)


@dataclass(frozen=True)
class Fleet:
    """``default``: the version that answers where none is asked for."""

    versions: tuple[Version, ...]
    default: str

    def find(self, version: str | None) -> Version | None:
        """The version named, or the default for None; None where there is no such version."""
        return next((v for v in self.versions if v.version == (version or self.default)), None)


def _worker(raw: Mapping[str, Any]) -> Worker:
    return Worker(f"{raw.get('id')}/{raw.get('pid')}/{raw.get('startTime')}", str(raw.get("status", "")))


def parse_version(raw: Mapping[str, Any]) -> Version:
    """One object of TorchServe's describe answer."""
    queue = raw.get("jobQueueStatus") or {}
    return Version(
        str(raw["modelVersion"]),
        int(raw.get("minWorkers", 0)),
        tuple(_worker(worker) for worker in raw.get("workers") or ()),
        int(queue.get("pendingRequests", 0)),
    )
