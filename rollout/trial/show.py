"""What ``scripts/deploy status`` says of a version on trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from exchange.trial import CANARY, Trial
from rollout.trial.book import current, told


def trial_of(state: Path) -> dict[str, Any] | None:
    """What is on trial, or was last, with its figures so far; None where nothing ever was."""
    trial = current(state)
    if trial is None:
        return None
    figures = told(state)
    return {**asdict(trial), "figures": figures.get("figures", {}) if figures.get("trial") == trial.id else {}}


def trial_lines(trial: Mapping[str, Any] | None) -> list[str]:
    """The same for the terminal."""
    if trial is None:
        return []
    who = f"{trial['kind']} {trial['version']}"
    if trial["ended"]:
        return [f"last trial: {who}, ended: {trial['ended']}"]
    gets = "answers" if trial["kind"] == CANARY else "gets copies of"
    steps = f", then {', '.join(f'{share:g}' for share in trial['steps'])}" if trial["steps"] else ""
    line = f"{who} {gets} {trial['share']:g} % of the requests, since {trial['entered']}{steps}"
    return [line, f"  {said(trial['kind'], trial['figures'])}"] if trial["figures"] else [line]


def describe(trial: Trial, figures: Mapping[str, Any]) -> str:
    """One line while it is watched."""
    return f"{trial.kind} {trial.version} at {trial.share:g} %: {said(trial.kind, figures)}"


def said(kind: str, figures: Mapping[str, Any]) -> str:
    """The figures in words."""
    if kind != CANARY:
        worst = ", ".join(f"{one['sha256'][:12]} {_of(one['dice'])}" for one in figures["shadow_worst"])
        return (
            f"{figures['shadow_compared']} compared, mean Dice {_of(figures['shadow_dice'])}, "
            f"{figures['shadow_flips']} other verdicts, {figures['shadow_failures']} failed, "
            f"area {_of(figures['shadow_area'])} %; {_evidence(figures['shadow_evidence'])}"
            + (f"; worst (digest of the input, Dice): {worst}" if worst else "")
        )
    ours, live = (
        {name.removeprefix(begin): value for name, value in figures.items() if name.startswith(begin)}
        for begin in ("canary_", "canary_live_")
    )
    pairs = (
        ("errors", "error_rate", 100, " %"),
        ("p95", "p95_seconds", 1000, " ms"),
        ("tumour", "tumor_share", 100, " %"),
    )
    shown = ", ".join(f"{word} {_of(ours[key], by)}{unit} ({_of(live[key], by)})" for word, key, by, unit in pairs)
    requests = f"{ours['requests']:.0f} requests (live {live['requests']:.0f})"
    return f"{requests}, {shown}; {_evidence(figures['canary_evidence'])}"


def _evidence(evidence: Mapping[str, float]) -> str:
    name = max(evidence, key=lambda one: evidence[one])
    return f"evidence against it at most {max(0.0, evidence[name]):.2f} of 1 ({name})"


def _of(value: float | None, by: float = 1) -> str:
    return "-" if value is None else f"{value * by:.4g}"
