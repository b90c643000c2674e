"""``scripts/deploy``: a new version goes live only if it proves itself, and the one before is back by one word."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import requests
import typer
from rich.console import Console
from rich.markup import escape

from archive.verify import Release
from rollout import history, show
from rollout.errors import MEANINGS, Exit, NoServerError, RolloutError, UsageError
from rollout.find import find_state
from rollout.limits import LIMITS_FILE, Limits, read_limits
from rollout.lock import locked
from rollout.recover import recover
from rollout.register import check_room
from rollout.release import Shown, check_version, release
from rollout.rollback import retire_version, roll_back, roll_back_stopped_server
from rollout.server import TorchServe
from rollout.signers import chosen
from rollout.site import Site
from rollout.state import read_deployment
from rollout.stopping import Stopping
from rollout.trusted import check_signers, trusted_release

if TYPE_CHECKING:
    from training.data.slices import LabelledSlice

EXIT_CODES = "Exit codes: " + "; ".join(f"{code.value} {meaning}" for code, meaning in MEANINGS.items()) + "."
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, epilog=EXIT_CODES)
console = Console(soft_wrap=True, highlight=False)
silent = Console(quiet=True)

State = Annotated[
    Path | None,
    typer.Option(help="The server's state folder, as given to scripts/serve; the running server's if none."),
]
Operator = Annotated[str, typer.Option(help="Who does this, for the history.")]
LimitsFile = Annotated[Path, typer.Option("--limits", help="The file of limits.")]
RequireSigned = Annotated[
    bool,
    typer.Option(
        "--require-signed", help="Refuse what no trusted key signed; held to anyway where scripts/serve was told so."
    ),
]
TrustedKeys = Annotated[
    Path | None,
    typer.Option(help="Folder of the public keys (*.pub); implies --require-signed.", exists=True, file_okay=False),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Say only how it ended.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


USER = _user()


@app.callback()
def main() -> None:
    """Release, roll back and look. `scripts/deploy ARCHIVE` is short for `scripts/deploy release ARCHIVE`."""


@contextmanager
def _exits() -> Iterator[None]:
    """An error becomes its message and its exit code."""
    try:
        yield
    except RolloutError as error:
        console.print(f"[bold red]deploy:[/] {escape(str(error))}")
        raise typer.Exit(int(error.code)) from error
    except (OSError, requests.RequestException) as error:
        console.print(f"[bold red]deploy:[/] {escape(str(error))}")
        raise typer.Exit(int(Exit.FAILED)) from error


def _teller(on: Console) -> Callable[[str], None]:
    """Prints lines with the time, UTC, before them."""
    return lambda line: on.print(f"[dim]{datetime.now(UTC):%H:%M:%SZ}[/] [green]·[/] {escape(line)}")


_say = _teller(console)


def _labelled(scans: Path | None, limits: Limits) -> list[LabelledSlice]:
    if scans is None:
        if limits.quality.required:
            raise UsageError("the file of limits asks for labelled scans: give --scans DIR")
        return []
    from rollout.quality import labelled  # pulls in scipy, which the other commands do not need

    return labelled(scans, limits.quality.slices)


@app.command("release")
def release_command(
    archive: Annotated[Path, typer.Argument(help="What scripts/package made.")],
    scans: Annotated[Path | None, typer.Option(help="Labelled scans in the kaggle_3m layout, for the gate.")] = None,
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
    stopping, shown_on = Stopping(), silent if quiet and not dry_run else console
    say = _teller(shown_on)
    with _exits(), stopping.listening():
        limits = read_limits(limits_file)
        verified = trusted_release(archive)
        say(f"{archive.name}: version {verified.version}, {verified.sha256}, manifest, card and digests are right")
        folder = find_state(state)
        asked = chosen(require_signed, trusted_keys, archive.parent)
        say(check_signers(verified, archive.name, folder, [asked]))
        slices = _labelled(scans, limits)
        site = Site(TorchServe(folder), limits, operator, say, stopping)
        site.server.versions()  # is it there?
        with locked(site.state):
            if dry_run:
                _dry_run(site, verified, len(slices))
                return
            deployment = recover(site, site.deployment())
            check_version(site, deployment, verified)
            screen = show.Screen(shown_on, limits.watch.seconds, say)
            try:
                release(site, deployment, verified, slices, Shown(screen.counting, screen.watching))
            finally:
                screen.close()
    console.print(f"[bold green]version {escape(verified.version)} is live[/]")


def _dry_run(site: Site, verified: Release, slices: int) -> None:
    declared = read_deployment(site.state)
    if declared is not None and declared.change is not None:
        _say(f"a deploy of {declared.change.subject.version} was left unfinished and would be cleaned up first")
    elif declared is not None:
        check_version(site, declared, verified)
    check_room(site.server)
    gate = f"known answers, quality on {slices} slices, latency, memory" if slices else "known answers, latency, memory"
    live, watch, drain = site.server.default(), site.limits.watch, site.limits.drain
    _say(f"it would be started beside {live} and gated by {gate}")
    _say(f"then promoted, watched for {watch.seconds:g} s, and {live} retired after {drain.grace_seconds:g} s more")
    _say("nothing was changed (--dry-run)")


@app.command("rollback")
def rollback_command(
    state: State = None, limits_file: LimitsFile = LIMITS_FILE, operator: Operator = USER, quiet: Quiet = False
) -> None:
    """Make the version before live again; withdraw a candidate that is not live yet. Works without a running server."""
    stopping = Stopping()
    with _exits(), stopping.listening():
        limits, folder = read_limits(limits_file), find_state(state)
        try:
            server = TorchServe(folder)
            server.versions()
        except NoServerError:
            done = roll_back_stopped_server(folder, operator)
        else:
            done = roll_back(Site(server, limits, operator, _teller(silent) if quiet else _say, stopping))
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
    with _exits(), stopping.listening():
        say = _teller(silent) if quiet else _say
        site = Site(TorchServe(find_state(state)), read_limits(limits_file), operator, say, stopping)
        with locked(site.state):
            recover(site, site.deployment())
            done = retire_version(site, version)
    console.print(f"[bold green]{escape(done)}[/]")


@app.command("status")
def status_command(state: State = None, as_json: AsJson = False) -> None:
    """What is live, what is beside it, what is under way, since when."""
    with _exits():
        status = show.status_of(find_state(state))
    if as_json:
        print(json.dumps(status, indent=2))
    else:
        show.print_status(console, status)


@app.command("history")
def history_command(state: State = None, as_json: AsJson = False) -> None:
    """Who deployed what and when, what the gate measured, what was decided."""
    with _exits():
        events = history.read(find_state(state))
    if as_json:
        print(json.dumps([asdict(event) for event in events], indent=2))
    else:
        show.print_history(console, events)


COMMANDS = ("release", "rollback", "retire", "status", "history")


def run(arguments: list[str]) -> None:
    """The command line ``arguments``; a first word that is no command is an archive."""
    first = arguments[0] if arguments else "--help"
    app(arguments if first in (*COMMANDS, "--help") else ["release", *arguments])


if __name__ == "__main__":
    run(sys.argv[1:])
