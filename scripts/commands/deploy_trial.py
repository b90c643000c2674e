"""``scripts/deploy canary``, ``promote`` and ``shadow``: a version on trial beside the live one."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer
from rich.markup import escape

from exchange.trial import CANARY, SHADOW, Trial
from rollout.errors import NoTargetError, RolloutError, TakenBackError, UsageError
from rollout.file_lock import is_held
from rollout.find import find_state
from rollout.limits import LIMITS_FILE
from rollout.lock import LOCK_FILE
from rollout.recover import withdraw
from rollout.release import back_out, release, try_out
from rollout.state import Deployed, now
from rollout.trial import book
from rollout.trial.past import SHADOWED
from rollout.trial.run import Plan, canary, shadow
from rollout.trial.show import said
from scripts.commands.deploying import (
    USER,
    Asked,
    LimitsFile,
    Operator,
    Quiet,
    Ready,
    RequireSigned,
    Scans,
    State,
    TrustedKeys,
    console,
    exits,
    ready,
    silent,
)

By: TypeAlias = Literal["client", "request"]
OptionalArchive = Annotated[Path | None, typer.Argument(help="What scripts/package made.")]
SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}
ANSWER_SECONDS, POLL_SECONDS = 120.0, 0.1


def _seconds(text: str) -> float:
    """``10m`` -> 600."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smh]?)", text.strip())
    if not match:
        raise UsageError(f"{text!r} is no time; write 90s, 10m or 2h")
    return float(match[1]) * SECONDS[match[2]]


def _share(share: float) -> float:
    if not 0 < share <= 100:
        raise UsageError(f"a share of {share:g} %: expected above 0, at most 100")
    return share


def _steps(text: str) -> tuple[float, ...]:
    try:
        steps = tuple(_share(float(one)) for one in text.split(","))
    except ValueError:
        raise UsageError(f"steps {text!r}: expected percents with commas between, as 5,25,50") from None
    if list(steps) != sorted(set(steps)):
        raise UsageError(f"steps {text!r}: each must be larger than the one before")
    return steps


def canary_command(
    archive: OptionalArchive = None,
    share: Annotated[float | None, typer.Option(help="Percent of the requests without a version.")] = None,
    steps: Annotated[str | None, typer.Option(help="Percents, one after the other, then it is promoted.")] = None,
    every: Annotated[str, typer.Option(help="How long each step lasts: 90s, 10m, 2h.")] = "10m",
    by: Annotated[
        By, typer.Option(help="Who stays with a version: a client (key) or only its X-Request-Key.")
    ] = "client",
    scans: Scans = None,
    state: State = None,
    limits_file: LimitsFile = LIMITS_FILE,
    operator: Operator = USER,
    require_signed: RequireSigned = False,
    trusted_keys: TrustedKeys = None,
    quiet: Quiet = False,
) -> None:
    """Give ARCHIVE, once it has passed the gate, a share of the requests; watch it until it is promoted or taken back.

    Without ARCHIVE: gives the canary that is on trial another share."""
    with exits():
        if (share is None) == (steps is None):
            raise UsageError("give --share PERCENT, or --steps PERCENT,PERCENT,... --every TIME")
        shares = (_share(share),) if share is not None else _steps(steps or "")
        every_seconds = _seconds(every) if steps else 0.0
        if steps and not every_seconds:  # 0 means by hand: the first step would last for ever
            raise UsageError(f"--every {every}: expected a time above 0; for a share that stays give --share")
        if archive is None:
            if steps:
                raise UsageError("--steps needs the ARCHIVE; a canary on trial is given another --share")
            console.print(f"[bold green]{escape(_ordered(find_state(state), CANARY, f'{shares[0]:g}'))}[/]")
            return
    shown_on = silent if quiet else console
    with ready(Asked(archive, scans, state, limits_file, operator, require_signed, trusted_keys, shown_on)) as found:
        if found.deployment is None:
            return
        trial = canary(found.site, Plan(shares, by, every_seconds), found.screen.trying)
        release(found.site, found.deployment, found.verified, found.slices, found.shown, trial)
    console.print(f"[bold green]version {escape(found.verified.version)} is live[/]")


def promote_command(state: State = None) -> None:
    """Make the canary that is on trial the live version."""
    with exits():
        done = _ordered(find_state(state), CANARY, book.PROMOTE)
    console.print(f"[bold green]{escape(done)}[/]")


def shadow_command(
    archive: OptionalArchive = None,
    share: Annotated[float, typer.Option(help="Percent of the requests without a version.")] = 20.0,
    lasting: Annotated[str, typer.Option("--for", help="How long: 90s, 10m, 2h; 0: until it is stopped.")] = "0",
    stop: Annotated[bool, typer.Option("--stop", help="End the shadow that is on trial.")] = False,
    scans: Scans = None,
    state: State = None,
    limits_file: LimitsFile = LIMITS_FILE,
    operator: Operator = USER,
    require_signed: RequireSigned = False,
    trusted_keys: TrustedKeys = None,
    quiet: Quiet = False,
) -> None:
    """Send ARCHIVE, once it has passed the gate, copies of requests that were answered, and compare; it answers
    nobody."""
    with exits():
        if stop == (archive is not None):
            raise UsageError("give the ARCHIVE of a version, or --stop to end the shadow on trial")
        plan = Plan((_share(share),), "request", seconds=_seconds(lasting))
        if archive is None:
            console.print(f"[bold green]{escape(_ordered(find_state(state), SHADOW, book.STOP))}[/]")
            return
    shown_on = silent if quiet else console
    with ready(Asked(archive, scans, state, limits_file, operator, require_signed, trusted_keys, shown_on)) as found:
        words = _shadowed(found, plan)
    console.print(f"[bold green]{escape(words)}[/]")


def _shadowed(found: Ready, plan: Plan) -> str:
    site, deployment, one = found.site, found.deployment, found.verified
    assert deployment is not None  # noqa: S101 - no dry run
    subject = Deployed(one.version, one.file_name, one.sha256, now())
    try:
        try_out(site, deployment, one, subject, found.slices, found.shown)
        seen = shadow(site, plan, found.screen.trying, deployment, subject)
    except Exception as error:
        back_out(site, deployment, subject, error)
        raise
    with site.stopping.shielded():
        withdraw(site, deployment, subject)
        over = seen.over()
        site.log(subject, SHADOWED, over or "within the limits", deployment.live.version, seen.figures())
    words = f"shadow {subject.version} has ended: {said(SHADOW, seen.figures())}"
    return f"{words}. It would be refused: {over}" if over else f"{words}. Within the limits"


def _ordered(state: Path, kind: str, do: str) -> str:
    """What became of an order to who watches the trial. Raises :class:`NoTargetError` where there is none,
    :class:`RolloutError` where it is refused or nobody answers."""
    trial = book.current(state)
    if trial is None or trial.ended or trial.kind != kind or not is_held(state / LOCK_FILE):
        raise NoTargetError(f"there is no {kind} on trial; start one with 'scripts/deploy {kind} ARCHIVE'")
    order = book.order(state, trial, do)
    return _awaited(state, trial, order, lambda: time.sleep(POLL_SECONDS))


def _awaited(state: Path, trial: Trial, order: book.Order, wait: Callable[[], None]) -> str:
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline:
        told = book.told(state)
        if told.get("order") == order.id:
            if not told["granted"]:
                raise RolloutError(str(told["said"]))
            return str(told["said"])
        after = book.current(state)
        if after is None or after.id != trial.id or after.ended:
            ended = after.ended if after and after.id == trial.id else "by another one"
            if order.do == book.PROMOTE and ended != "promoted":
                raise TakenBackError(f"{trial.kind} {trial.version} has ended instead: {ended}")
            return f"{trial.kind} {trial.version} has ended: {ended}"
        wait()
    raise RolloutError(f"who watches {trial.kind} {trial.version} did not answer within {ANSWER_SECONDS:.0f} s")


def add_to(app: typer.Typer) -> None:
    """The three commands."""
    app.command("canary")(canary_command)
    app.command("promote")(promote_command)
    app.command("shadow")(shadow_command)
