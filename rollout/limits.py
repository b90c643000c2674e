"""``deploy/rollout.yaml``: the limits a new version must keep. Each dataclass is one block of the file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from archive.store import ROOT
from rollout.errors import UsageError
from settings.mapping import Amount, Count, Positive, SettingsError, Share, from_mapping

LIMITS_FILE = ROOT / "deploy" / "rollout.yaml"


@dataclass(frozen=True)
class StartLimits:
    """``seconds`` until the workers are READY."""

    seconds: Positive


@dataclass(frozen=True)
class QualityLimits:
    """Of the mean Dice per tumour slice and the expected calibration error (0..1), over at most ``slices`` of the
    labelled ones. ``required``: refuse when no labelled scans are given."""

    required: bool
    slices: Count
    dice_floor: Share
    dice_drop: Share
    calibration_ceiling: Share
    calibration_rise: Share


@dataclass(frozen=True)
class LatencyLimits:
    """``samples`` of each version, both kept busy at the same time, for at most ``seconds``. Ratios are candidate to
    live. ``overhead_seconds``: what HTTP and TorchServe may take around the handler before it counts."""

    samples: Count
    seconds: Positive
    median_ratio: Positive
    p95_ratio: Positive
    p95_seconds: Positive
    overhead_seconds: Amount


@dataclass(frozen=True)
class MemoryLimits:
    """Resident memory of the largest worker, in MiB and against the live version's."""

    worker_mib: Positive
    ratio: Positive


@dataclass(frozen=True)
class WatchLimits:
    """For ``seconds`` after promotion, looked at every ``every_seconds``: the share of failed requests above the old
    version's, and the p95 against it, once there are ``min_requests``; and known answers, asked every
    ``probe_seconds``, of which ``failed_probes`` in a row are a breach."""

    seconds: Amount
    every_seconds: Positive
    min_requests: Count
    error_rate_rise: Share
    p95_ratio: Positive
    probe_seconds: Positive
    failed_probes: Count


@dataclass(frozen=True)
class DrainLimits:
    """A version is retired after ``grace_seconds`` in which it may still be asked for by name, once it is idle, for
    which ``seconds`` are waited."""

    grace_seconds: Amount
    seconds: Amount


@dataclass(frozen=True)
class Limits:
    """The whole file. ``keep_previous``: how many earlier versions stay in the model store to roll back to."""

    start: StartLimits
    quality: QualityLimits
    latency: LatencyLimits
    memory: MemoryLimits
    watch: WatchLimits
    drain: DrainLimits
    keep_previous: Count


def read_limits(path: Path = LIMITS_FILE) -> Limits:
    """The limits in ``path``. Raises :class:`UsageError` that names what is unknown, missing or out of range."""
    try:
        return from_mapping(Limits, yaml.safe_load(path.read_text(encoding="utf-8")), path.name)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, SettingsError) as error:
        raise UsageError(f"{path} cannot be used: {error}") from error
