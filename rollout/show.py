"""What ``scripts/deploy status`` and ``history`` print, and what moves while a release is under way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

from archive.store import BESIDE
from progress.bars import Bars
from rollout.errors import NoServerError
from rollout.file_lock import is_held
from rollout.history import Event
from rollout.lock import LOCK_FILE
from rollout.server import TorchServe, Version
from rollout.state import Deployment, Phase, read_deployment, seconds_since
from rollout.trial.show import trial_lines, trial_of
from rollout.types import read_before, read_types, versions_of
from rollout.unwatched import is_unwatched
from rollout.watch import Seen

SAY_SECONDS = 30.0


class Screen:
    """Bars for work of known length, for the watch a line that moves and one that stays each half minute of it. Where
    the output is no terminal, the bars are lines now and then and what moves is left out."""

    def __init__(self, console: Console, watch_seconds: float, say: Callable[[str], None]) -> None:
        self._console = console
        self._say, self._next_line = say, SAY_SECONDS
        self._bars = Bars(console)
        self._status: Status | None = None
        self._watch_seconds = watch_seconds

    def counting(self, title: str, total: int) -> Callable[[], None]:
        return self._bars(title, total)

    def watching(self, seen: Seen) -> None:
        """Shows the watch's figures so far."""
        p95 = "-" if seen.p95_seconds is None else f"{seen.p95_seconds * 1e3:.0f} ms"
        time = f"{seen.seconds:.0f} of {self._watch_seconds:.0f} s"
        text = f"watching {time}: {seen.failed:.0f} of {seen.requests:.0f} requests failed, p95 {p95}"
        if self._status is None:
            self._status = self._console.status(escape(text))
            self._status.start()
        self._status.update(text)
        if seen.seconds >= self._next_line:
            self._say(text)
            self._next_line = (seen.seconds // SAY_SECONDS + 1) * SAY_SECONDS

    def trying(self, text: str, now: bool) -> None:
        """Shows what a trial has come to; ``now``: also as a line that stays."""
        if self._status is None:
            self._status = self._console.status(escape(text))
            self._status.start()
        self._status.update(escape(text))
        if now:
            self._say(text)

    def close(self) -> None:
        self._bars.close()
        if self._status is not None:
            self._status.stop()


def status_of(state: Path) -> dict[str, Any]:
    """What is declared and what TorchServe says, as a JSON object; ``running`` false and no workers where it does not
    run."""
    declared = read_deployment(state)
    try:
        server = TorchServe(state)
        there, default = server.versions(), server.default()
    except NoServerError:
        there, default = {}, None
    names = list(dict.fromkeys([*(one.version for one in declared.known), *there])) if declared else list(there)
    if declared and declared.change and declared.change.subject.version not in names:
        names.append(declared.change.subject.version)
    return {
        "running": default is not None,
        "default": default,
        "declared": declared.live.version if declared else None,
        "change": {**asdict(declared.change), "kept": is_held(state / LOCK_FILE) and not is_unwatched(state, declared)}
        if declared and declared.change
        else None,
        "trial": trial_of(state),
        "beside": {model: beside_of(state, model) for model in BESIDE},
        "versions": [_row(name, declared, there.get(name), default) for name in names],
    }


def beside_of(state: Path, model: str) -> dict[str, Any]:
    """Of a model beside the segmentation: the version declared live, the one to roll back to, and READY workers by
    version as TorchServe says; None, None and nothing where there is none."""
    live, before = read_types(state, model), read_before(state, model)
    try:
        there = versions_of(TorchServe(state, model))
    except NoServerError:
        there = {}
    return {
        "declared": live.version if live else None,
        "before": before.version if before else None,
        "ready": {name: found.ready for name, found in there.items()},
    }


def role_of(version: str, declared: Deployment | None, default: str | None) -> str:
    """live, candidate, served (loaded beside the live one), previous (to roll back to, not loaded), or unknown."""
    if declared is None:
        return "live" if version == default else "served"
    change = declared.change
    if version == declared.live.version:
        return "live"
    if change and change.before_promotion and change.subject.version == version:
        return "candidate"
    if declared.serves(version):
        return "served"
    return "previous" if declared.find(version) else "unknown"


def _row(name: str, declared: Deployment | None, found: Version | None, default: str | None) -> dict[str, Any]:
    one = declared.find(name) if declared else None
    if one is None and declared and declared.change and declared.change.subject.version == name:
        one = declared.change.subject
    return {
        "version": name,
        "role": role_of(name, declared, default),
        "since": one.since if one else (found.since if found else None),
        "sha256": one.sha256 if one else None,
        "workers": {"wanted": found.wanted, "ready": found.ready} if found else None,
        "pending": found.pending if found else None,
    }


_ON_TRIAL = "nobody watches it, and the server takes it back"
_LEFT = dict.fromkeys((one.value for one in (Phase.PROMOTING, Phase.WATCHING, Phase.CANARY, Phase.SHADOW)), _ON_TRIAL)


def print_status(console: Console, status: Mapping[str, Any]) -> None:
    """The status as a table."""
    table = Table(box=SIMPLE)
    for column in ("version", "role", "since", "ready", "queued", "archive"):
        table.add_column(column, no_wrap=True)
    for row in status["versions"]:
        workers = f"{row['workers']['ready']}/{row['workers']['wanted']}" if row["workers"] else "-"
        pending = "-" if row["pending"] is None else str(row["pending"])
        digest = (row["sha256"] or "-").removeprefix("sha256:")[:12]
        table.add_row(*map(escape, (row["version"], row["role"], row["since"] or "-", workers, pending, digest)))
    console.print(table)
    if change := status["change"]:
        what = f"{change['subject']['version']} {_under_way(change)}"
        left = _LEFT.get(change["phase"], "the next deploy cleans it up")
        console.print(escape(f"under way: {what}" if change["kept"] else f"left behind: {what}; {left}"))
    for line in trial_lines(status["trial"]):
        console.print(escape(line))
    for model, found in status["beside"].items():
        if line := _beside_line(model, found):
            console.print(escape(line))
    if not status["running"]:
        console.print("[red]the server does not run[/red]: its next start brings the live version and those served")
    elif status["declared"] not in (None, status["default"]):
        console.print(f"[red]TorchServe's default is {escape(status['default'])}[/red], not what is declared live")


def _beside_line(model: str, found: Mapping[str, Any]) -> str:
    """Empty where there is none of the model."""
    running = ", ".join(f"{name} ({ready} ready)" for name, ready in found["ready"].items())
    if not running and found["declared"] is None:
        return ""
    live = f"{found['declared']} is live" if found["declared"] else "none was deployed"
    back = f", {found['before']} to roll back to" if found["before"] else ""
    return f"{model}: {live}{back}; at TorchServe: {running or 'none'}"


def _under_way(change: Mapping[str, Any]) -> str:
    """The phase and since when, whose change it is and since when: ``watching for 75 s (since …), by ann since …``."""
    phase = str(change["phase"])
    if change["entered"]:
        phase += f" for {max(0.0, seconds_since(change['entered'])):.0f} s (since {change['entered']})"
    return f"{phase}, by {change['operator']}, since {change['began']}"


def print_history(console: Console, events: Sequence[Event]) -> None:
    """A line for each event, the latest last."""
    for event in events:
        head = f"{event.time}  {event.operator}  {event.version} {event.decision}"
        console.print(f"{escape(head)}: {escape(event.reason)}")
