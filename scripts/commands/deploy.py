"""``scripts/deploy``: a new version goes live only if it proves itself, and the one before is back by one word."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Annotated, Literal

import typer
from rich.markup import escape

from archive.store import BESIDE
from archive.verify import Release
from rollout import history, show
from rollout.errors import MEANINGS, NoServerError
from rollout.find import find_state
from rollout.limits import LIMITS_FILE, read_limits
from rollout.lock import locked
from rollout.recover import recover
from rollout.register import check_room
from rollout.release import check_version, release
from rollout.rollback import retire_version, roll_back, roll_back_stopped_server
from rollout.server import TorchServe
from rollout.site import Site
from rollout.state import read_deployment
from rollout.stopping import Stopping
from rollout.types_back import roll_back_types
from scripts.commands import deploy_trial
from scripts.commands.deploying import (
    USER,
    Archive,
    AsJson,
    Asked,
    LimitsFile,
    Operator,
    Quiet,
    RequireSigned,
    Scans,
    State,
    TrustedKeys,
    console,
    exits,
    names_types,
    ready,
    release_types,
    say_all,
    silent,
    teller,
)

Model = Literal["brainseg", "brainseg-types", "brainseg-regions"]
EXIT_CODES = "Exit codes: " + "; ".join(f"{code.value} {meaning}" for code, meaning in MEANINGS.items()) + "."
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, epilog=EXIT_CODES)
deploy_trial.add_to(app)


@app.callback()
def main() -> None:
    """Release, roll back and look. `scripts/deploy ARCHIVE` is short for `scripts/deploy release ARCHIVE`."""


@app.command("release")
def release_command(
    archive: Archive,
    scans: Scans = None,
    state: State = None,
    limits_file: LimitsFile = LIMITS_FILE,
    operator: Operator = USER,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check all that can be checked without loading it.")
    ] = False,
    require_signed: RequireSigned = False,
    trusted_keys: TrustedKeys = None,
    quiet: Quiet = False,
) -> None:
    """Verify ARCHIVE, start it beside the live version, gate it, promote it, watch it, retire the old one."""
    shown_on = silent if quiet and not dry_run else console
    asked = Asked(archive, scans, state, limits_file, operator, require_signed, trusted_keys, shown_on)
    if names_types(archive):
        release_types(asked, dry_run)
        return
    with ready(asked, dry_run) as found:
        if found.deployment is None:
            _dry_run(found.site, found.verified, len(found.slices))
            return
        release(found.site, found.deployment, found.verified, found.slices, found.shown)
    console.print(f"[bold green]version {escape(found.verified.version)} is live[/]")


def _dry_run(site: Site, verified: Release, slices: int) -> None:
    declared = read_deployment(site.state)
    if declared is not None and declared.change is not None:
        say_all(f"a deploy of {declared.change.subject.version} was left unfinished and would be cleaned up first")
    elif declared is not None:
        check_version(site, declared, verified)
    check_room(site.server)
    gate = f"known answers, quality on {slices} slices, latency, memory" if slices else "known answers, latency, memory"
    live, watch, drain = site.server.default(), site.limits.watch, site.limits.drain
    say_all(f"it would be started beside {live} and gated by {gate}")
    say_all(f"then promoted, watched for {watch.seconds:g} s, and {live} retired after {drain.grace_seconds:g} s more")
    say_all("nothing was changed (--dry-run)")


@app.command("rollback")
def rollback_command(
    state: State = None,
    limits_file: LimitsFile = LIMITS_FILE,
    operator: Operator = USER,
    quiet: Quiet = False,
    model: Annotated[Model, typer.Option(help="Which model goes back.")] = "brainseg",
) -> None:
    """Make the version before live again; withdraw a candidate that is not live yet. Works without a running server."""
    stopping = Stopping()
    with exits(), stopping.listening():
        limits, folder = read_limits(limits_file), find_state(state)
        if model in BESIDE:
            with locked(folder):
                done = roll_back_types(folder, model, operator, limits.start.seconds)
            console.print(f"[bold green]{escape(done)}[/]")
            return
        try:
            server = TorchServe(folder)
            server.versions()
        except NoServerError:
            done = roll_back_stopped_server(folder, operator)
        else:
            done = roll_back(Site(server, limits, operator, teller(silent) if quiet else say_all, stopping))
    console.print(f"[bold green]{escape(done)}[/]")


@app.command("retire")
def retire_command(
    version: Annotated[str, typer.Argument(help="Any but the live one.")],
    state: State = None,
    limits_file: LimitsFile = LIMITS_FILE,
    operator: Operator = USER,
    quiet: Quiet = False,
) -> None:
    """Take VERSION out of the server and the store, once nobody uses it."""
    stopping = Stopping()
    with exits(), stopping.listening():
        say = teller(silent) if quiet else say_all
        site = Site(TorchServe(find_state(state)), read_limits(limits_file), operator, say, stopping)
        with locked(site.state):
            recover(site, site.deployment())
            done = retire_version(site, version)
    console.print(f"[bold green]{escape(done)}[/]")


@app.command("status")
def status_command(state: State = None, as_json: AsJson = False) -> None:
    """What is live, what is beside it, what is under way, since when."""
    with exits():
        status = show.status_of(find_state(state))
    if as_json:
        print(json.dumps(status, indent=2))
    else:
        show.print_status(console, status)


@app.command("history")
def history_command(state: State = None, as_json: AsJson = False) -> None:
    """Who deployed what and when, what the gate measured, what was decided."""
    with exits():
        events = history.read(find_state(state))
    if as_json:
        print(json.dumps([asdict(event) for event in events], indent=2))
    else:
        show.print_history(console, events)


COMMANDS = ("release", "canary", "shadow", "promote", "rollback", "retire", "status", "history")


def run(arguments: list[str]) -> None:
    """The command line ``arguments``; a first word that is no command is an archive."""
    first = arguments[0] if arguments else "--help"
    app(arguments if first in (*COMMANDS, "--help") else ["release", *arguments])


if __name__ == "__main__":
    run(sys.argv[1:])
