"""What the commands of ``scripts/deploy`` have in common: their options, and how they end."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import requests
import typer
from rich.console import Console
from rich.markup import escape

from archive.store import BESIDE
from archive.verify import Release
from rollout import show
from rollout.errors import Exit, RolloutError, UsageError
from rollout.find import find_state
from rollout.limits import Limits, read_limits
from rollout.lock import locked
from rollout.recover import recover
from rollout.release import Shown, check_version
from rollout.server import TorchServe
from rollout.signers import chosen
from rollout.site import Site
from rollout.state import Deployment
from rollout.stopping import Stopping
from rollout.trial.past import check_shadowed
from rollout.trusted import check_signers, trusted_release
from rollout.types import check_is_segmentation, deploy_types

if TYPE_CHECKING:
    from training.data.slices import LabelledSlice

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


Archive = Annotated[Path, typer.Argument(help="What scripts/package made.")]
Scans = Annotated[Path | None, typer.Option(help="Labelled scans in the kaggle_3m layout, for the gate.")]


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


USER = _user()


@contextmanager
def exits() -> Iterator[None]:
    """An error becomes its message and its exit code."""
    try:
        yield
    except RolloutError as error:
        console.print(f"[bold red]deploy:[/] {escape(str(error))}")
        raise typer.Exit(int(error.code)) from error
    except (OSError, requests.RequestException) as error:
        console.print(f"[bold red]deploy:[/] {escape(str(error))}")
        raise typer.Exit(int(Exit.FAILED)) from error


def teller(on: Console) -> Callable[[str], None]:
    """Prints lines with the time, UTC, before them."""
    return lambda line: on.print(f"[dim]{datetime.now(UTC):%H:%M:%SZ}[/] [green]·[/] {escape(line)}")


say_all = teller(console)


def _labelled(scans: Path | None, limits: Limits) -> list[LabelledSlice]:
    if scans is None:
        if limits.quality.required:
            raise UsageError("the file of limits asks for labelled scans: give --scans DIR")
        return []
    from rollout.quality import labelled  # pulls in scipy, which the other commands do not need

    return labelled(scans, limits.quality.slices)


@dataclass(frozen=True)
class Asked:
    """The options that every command has which brings a version up."""

    archive: Path
    scans: Path | None
    state: Path | None
    limits_file: Path
    operator: str
    require_signed: bool
    trusted_keys: Path | None
    shown_on: Console


@dataclass(frozen=True)
class Ready:
    """All that a version is brought up with: nothing of it has been loaded yet. ``deployment``: None where nothing was
    looked at but what is there."""

    site: Site
    verified: Release
    slices: list[LabelledSlice]
    deployment: Deployment | None
    screen: show.Screen

    @property
    def shown(self) -> Shown:
        return Shown(self.screen.counting, self.screen.watching)


@contextmanager
def ready(asked: Asked, dry_run: bool = False) -> Iterator[Ready]:
    """Verifies the archive, takes the lock and ends what a kill left unfinished; with ``dry_run`` not that. An error
    becomes its message and its exit code."""
    stopping, say = Stopping(), teller(asked.shown_on)
    with exits(), stopping.listening():
        limits = read_limits(asked.limits_file)
        verified = trusted_release(asked.archive)
        check_is_segmentation(verified)
        name = asked.archive.name
        say(f"{name}: version {verified.version}, {verified.sha256}, manifest, card and digests are right")
        folder = find_state(asked.state)
        signers = chosen(asked.require_signed, asked.trusted_keys, asked.archive.parent)
        say(check_signers(verified, name, folder, [signers]))
        slices = _labelled(asked.scans, limits)
        site = Site(TorchServe(folder), limits, asked.operator, say, stopping)
        site.server.versions()  # is it there?
        with locked(site.state):
            screen = show.Screen(asked.shown_on, limits.watch.seconds, say)
            if dry_run:
                yield Ready(site, verified, slices, None, screen)
                return
            deployment = recover(site, site.deployment())
            check_version(site, deployment, verified)
            check_shadowed(site, verified)
            try:
                yield Ready(site, verified, slices, deployment, screen)
            finally:
                screen.close()


def names_types(archive: Path) -> bool:
    """Whether ``archive`` is of a model beside the segmentation, such as a classifier. One that is refused is left to
    whoever opens it next."""
    try:
        return trusted_release(archive).card.name in BESIDE
    except (RolloutError, OSError):
        return False


def release_types(asked: Asked, dry_run: bool) -> None:
    """A model beside the segmentation goes live, or with ``dry_run`` is only looked at. An error becomes its message
    and exit code."""
    say = teller(asked.shown_on)
    with exits():
        limits = read_limits(asked.limits_file)
        verified, name = trusted_release(asked.archive), asked.archive.name
        if asked.scans is not None:
            raise UsageError(
                f"--scans is for the gate of a segmentation, and {verified.card.name} has none; leave it out"
            )
        folder = find_state(asked.state)
        say(f"{name}: {verified.card.name} {verified.version}, manifest, card and digests are right")
        say(
            check_signers(
                verified, name, folder, [chosen(asked.require_signed, asked.trusted_keys, asked.archive.parent)]
            )
        )
        if dry_run:
            say("it would be started, asked its known answers and made the one that answers; nothing was changed")
            return
        with locked(folder):
            done = deploy_types(folder, verified, asked.operator, limits.start.seconds)
    console.print(f"[bold green]{escape(done)}[/]")
