"""``deploy/rollout.yaml``: the limits a new version must keep. Each dataclass is one block of the file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import yaml

from archive.store import ROOT
from rollout.errors import UsageError
from settings.mapping import Amount, Count, Positive, SettingsError, Share, Within, from_mapping

LIMITS_FILE = ROOT / "deploy" / "rollout.yaml"
Part = Annotated[float, Within(0, 1, above=True)]  # a share of nothing would be broken by anything


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
class CanaryLimits:
    """``false_alarms``: the chance that a canary is stopped that keeps the margins, over the whole trial. The margins,
    against the live version at the same time: ``error_rate_rise``; ``latency_ratio``; of shares of scans with tumour
    and of those that the gate refused, ``verdict_shift`` and ``refusal_shift``; ``coverage_shift``, of the chance that
    a scan ranks above one of the live version by its coverage, less one half. ``min_requests``: the canary must have
    answered so many before it is given more, or promoted."""

    false_alarms: Part = 0.05
    error_rate_rise: Share = 0.01
    latency_ratio: Positive = 1.25
    verdict_shift: Share = 0.05
    refusal_shift: Share = 0.02
    coverage_shift: Share = 0.05
    min_requests: Count = 50


@dataclass(frozen=True)
class ShadowLimits:
    """``false_alarms``: as of a canary. ``disagreement``: 1 less the mean Dice between the masks of candidate and live
    version, over scans in which either sees tumour; ``flips``: the share of scans with another verdict; ``failures``:
    the share that the candidate fails. ``min_compared``: fewer comparisons say nothing."""

    false_alarms: Part = 0.05
    disagreement: Part = 0.15
    flips: Part = 0.1
    failures: Part = 0.01
    min_compared: Count = 20


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
    canary: CanaryLimits = field(default_factory=CanaryLimits)
    shadow: ShadowLimits = field(default_factory=ShadowLimits)


def read_limits(path: Path = LIMITS_FILE) -> Limits:
    """The limits in ``path``. Raises :class:`UsageError` that names what is unknown, missing or out of range."""
    try:
        return from_mapping(Limits, yaml.safe_load(path.read_text(encoding="utf-8")), path.name)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, SettingsError) as error:
        raise UsageError(f"{path} cannot be used: {error}") from error
