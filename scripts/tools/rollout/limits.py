"""``deploy/rollout.yaml``: the limits a new version must keep. Each dataclass is one block of the file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from scripts.tools.places import ROOT
from scripts.tools.rollout.errors import UsageError
from training.settings import SettingsError, from_mapping

LIMITS_FILE = ROOT / "deploy" / "rollout.yaml"


@dataclass(frozen=True)
class StartLimits:
    """``seconds`` until the workers are READY."""

    seconds: float


@dataclass(frozen=True)
class QualityLimits:
    """Of the mean Dice per tumour slice and the expected calibration error (0..1), over at most ``slices`` of the
    labelled ones. ``required``: refuse when no labelled scans are given."""

    required: bool
    slices: int
    dice_floor: float
    dice_drop: float
    calibration_ceiling: float
    calibration_rise: float


@dataclass(frozen=True)
class LatencyLimits:
    """``samples`` of each version, both kept busy at the same time, for at most ``seconds``. Ratios are candidate to
    live. ``overhead_seconds``: what HTTP and TorchServe may take around the handler before it counts."""

    samples: int
    seconds: float
    median_ratio: float
    p95_ratio: float
    p95_seconds: float
    overhead_seconds: float


@dataclass(frozen=True)
class MemoryLimits:
    """Resident memory of the largest worker, in MiB and against the live version's."""

    worker_mib: float
    ratio: float


@dataclass(frozen=True)
class WatchLimits:
    """For ``seconds`` after promotion, looked at every ``every_seconds``: the share of failed requests above the old
    version's, and the p95 against it, once there are ``min_requests``; and known answers, asked every
    ``probe_seconds``, of which ``failed_probes`` in a row are a breach."""

    seconds: float
    every_seconds: float
    min_requests: int
    error_rate_rise: float
    p95_ratio: float
    probe_seconds: float
    failed_probes: int


@dataclass(frozen=True)
class DrainLimits:
    """A version is retired after ``grace_seconds`` in which it may still be asked for by name, once it is idle, for
    which ``seconds`` are waited."""

    grace_seconds: float
    seconds: float


@dataclass(frozen=True)
class Limits:
    """The whole file. ``keep_previous``: how many earlier versions stay in the model store to roll back to."""

    start: StartLimits
    quality: QualityLimits
    latency: LatencyLimits
    memory: MemoryLimits
    watch: WatchLimits
    drain: DrainLimits
    keep_previous: int


def read_limits(path: Path = LIMITS_FILE) -> Limits:
    """The limits in ``path``. Raises :class:`UsageError` that names what is unknown, missing or out of range."""
    try:
        limits = from_mapping(Limits, yaml.safe_load(path.read_text(encoding="utf-8")), path.name)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, SettingsError) as error:
        raise UsageError(f"{path} cannot be used: {error}") from error
    positive = (limits.keep_previous, limits.latency.samples, limits.quality.slices, limits.watch.every_seconds)
    if min(positive) <= 0:
        raise UsageError(
            f"{path}: keep_previous, latency.samples, quality.slices and watch.every_seconds must be above 0"
        )
    return limits
