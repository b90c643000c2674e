"""A version that was promoted, or is on trial, and that nobody watches is taken back. The watch is a lease: the lock of
the deploy that watches, which ends with its process, ``kill -9`` included, and which it renews with each look: one that
was stopped does not."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from exchange.trial import UNWATCHED
from rollout import history
from rollout.errors import RolloutError
from rollout.file_lock import end_holder, is_kept
from rollout.limits import read_limits
from rollout.lock import LOCK_FILE, locked
from rollout.promote import go_back, rolled_back
from rollout.recover import withdraw
from rollout.server import TorchServe
from rollout.site import Site, drop_archive
from rollout.state import Change, Deployment, Phase, read_deployment, write_deployment
from rollout.trial.book import end

LEASE_SECONDS = 5.0  # who takes over from a deploy that was stopped, as a rollback does, has the lock by then
STALE_SECONDS = 60.0  # without being renewed; two looks are at most a request and rollout.watch.NAP_SECONDS apart
OPERATOR = "scripts/serve"
REASON = "nobody watched it: the deploy that did was ended"


def is_unwatched(state: Path, deployment: Deployment | None) -> bool:
    """Whether the live version is new, or another gets requests beside it, while nobody holds the lease."""
    change = deployment.change if deployment else None
    watched = change is not None and (_is_live(change) or Phase(change.phase).on_trial)
    return watched and not is_kept(state / LOCK_FILE, STALE_SECONDS)


def _is_live(change: Change) -> bool:
    return change.phase in (Phase.PROMOTING, Phase.WATCHING)


class Lease:
    """Looked at now and then by the server, which takes the version back when the lease has run out."""

    def __init__(self, state: Path, say: Callable[[str], None]) -> None:
        self._state = state
        self._say = say
        self._since: float | None = None

    def look(self) -> None:
        """Raises nothing: what cannot be taken back is said, and tried again after another lease."""
        try:
            if not is_unwatched(self._state, read_deployment(self._state)):
                self._since = None
                return
            if self._since is None:
                self._since = time.monotonic()
            elif time.monotonic() - self._since > LEASE_SECONDS:
                self._since = None
                take_back(self._state, self._say)
        except (RolloutError, OSError) as error:
            self._say(f"a version that nobody watches could not be taken back: {error}")
            self._since = time.monotonic()


def take_back(state: Path, say: Callable[[str], None]) -> None:
    """Makes the version before live again on the running server of ``state``, or ends the trial of one. Raises
    :class:`RolloutError`, or ``OSError`` when who stopped watching cannot be made to let go."""
    end_holder(state / LOCK_FILE)
    with locked(state):
        site = Site(TorchServe(state), read_limits(), OPERATOR, say)
        deployment = site.deployment()
        change, failed = deployment.change, deployment.live
        if change is not None and Phase(change.phase).on_trial:
            end(state, UNWATCHED)
            say(f"version {change.subject.version} gets no requests any more: {REASON}")
            withdraw(site, deployment, change.subject)
            site.log(change.subject, "taken-back", REASON, deployment.live.version)
            return
        if change is None or not _is_live(change):
            return
        say(f"version {failed.version} is taken back: {REASON}")
        go_back(site, deployment)
        site.log(failed, "rolled-back", REASON, failed.version)


def take_back_at_start(state: Path, store: Path, say: Callable[[str], None]) -> None:
    """The same before a server starts: what it starts is the version before. Raises as
    :func:`take_back`."""
    if not is_unwatched(state, read_deployment(state)):
        return
    end_holder(state / LOCK_FILE)
    with locked(state):
        deployment = read_deployment(state)
        change = deployment.change if deployment else None
        end(state, UNWATCHED)
        if deployment is not None and change is not None and Phase(change.phase).on_trial:
            write_deployment(state, deployment.settled())
            drop_archive(store, state, change.subject, deployment.settled())
            subject, live = change.subject, deployment.live.version
            history.append(state, history.Event(OPERATOR, subject.version, subject.sha256, "taken-back", REASON, live))
            say(f"version {subject.version} is not on trial any more: {REASON}")
            return
        if deployment is None or not deployment.previous:
            return
        failed, after = deployment.live, rolled_back(deployment)
        write_deployment(state, after)
        drop_archive(store, state, failed, after)
        event = history.Event(OPERATOR, failed.version, failed.sha256, "rolled-back", REASON, failed.version)
        history.append(state, event)
        say(f"version {failed.version} is taken back, {after.live.version} is live again: {REASON}")
