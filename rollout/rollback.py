"""``scripts/deploy rollback`` and ``retire``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from exchange.trial import STOPPED
from rollout import history
from rollout.errors import NoTargetError, RolloutError
from rollout.lock import ask_to_stop, locked
from rollout.promote import go_back, rolled_back, take_out
from rollout.recover import recover, withdraw
from rollout.site import Site, drop_archive
from rollout.state import Deployment, Phase, read_deployment, without, write_deployment
from rollout.trial.book import end

STOP_SECONDS = 90.0


def declared(state: Path) -> Deployment:
    """What the state folder declares. Raises :class:`NoTargetError` when nothing was ever deployed."""
    found = read_deployment(state)
    if found is None:
        raise NoTargetError(f"nothing was ever deployed with the state folder {state}")
    return found


def roll_back(site: Site) -> str:
    """Back to the version before; what was done, in words. A deploy at work in another terminal is stopped first: a
    candidate that was not live yet is only withdrawn."""
    before = declared(site.state)
    ask_to_stop(site.state, STOP_SECONDS)
    with locked(site.state), site.stopping.shielded():
        deployment = declared(site.state)
        failed, change = deployment.live, before.change
        not_live_yet = change is not None and change.before_promotion and change.phase != Phase.RESTORING
        if change is not None and not_live_yet and deployment.live.version == before.live.version:
            settled = recover(site, deployment) if deployment.change else deployment
            return f"version {change.subject.version} is withdrawn; {settled.live.version} stays live"
        if change is not None and change.subject.version == before.live.version != deployment.live.version:
            return f"version {before.live.version} is taken back; {deployment.live.version} is live"
        deployment = _after_a_kill(site, deployment)
        after = go_back(site, deployment)
        site.log(failed, "rolled-back", "asked for by the operator", failed.version)
        return f"version {after.live.version} is live; {failed.version} is taken back"


def _after_a_kill(site: Site, deployment: Deployment) -> Deployment:
    """Ends what another process left unfinished, without first making the version the default that is to be taken
    back."""
    change = deployment.change
    if change is None or deployment.serves(change.subject.version):
        return deployment.settled()
    return withdraw(site, deployment, change.subject)


def roll_back_stopped_server(state: Path, operator: str) -> str:
    """The same where no server runs: what is declared changes, and the next start follows it. A trial that waits for
    the server's return is ended, and no more."""
    before = declared(state)
    on_trial = before.change is not None and Phase(before.change.phase).on_trial
    waited = on_trial and ask_to_stop(state, STOP_SECONDS)
    with locked(state):
        deployment = declared(state)
        if waited and before.change is not None and deployment.live.version == before.live.version:
            return f"version {before.change.subject.version} is withdrawn; {deployment.live.version} stays live"
        after = rolled_back(deployment)
        end(state, STOPPED)
        write_deployment(state, after)
        failed = deployment.live
        reason = "asked for by the operator; the server did not run"
        history.append(
            state, history.Event(operator, failed.version, failed.sha256, "rolled-back", reason, failed.version)
        )
    return f"no server runs; its next start brings {after.live.version} instead of {failed.version}"


def retire_version(site: Site, version: str) -> str:
    """Takes ``version`` out of the server, the store and what can be rolled back to. Raises :class:`NoTargetError` for
    one that is not there, :class:`RolloutError` for the live one."""
    deployment = site.deployment()
    subject = deployment.find(version)
    if version == deployment.live.version:
        raise RolloutError(f"version {version} is live and stays; deploy another one first, or roll back")
    if subject is None:
        known = ", ".join(sorted({one.version for one in deployment.known}))
        raise NoTargetError(f"there is no version {version}; there are {known}")
    served = deployment.serves(version)
    after = replace(
        deployment, served=without(deployment.served, version), previous=without(deployment.previous, version)
    )
    if served:
        site.enter(after, Phase.RETIRING, subject)
        after = take_out(site, after, subject)
        if after.serves(version):
            raise RolloutError(f"version {version} is still in use; try again when its clients are done")
    else:
        after = site.save(after.settled())
        drop_archive(site.server.store, site.state, subject, after)
    site.log(subject, "retired", "asked for by the operator", deployment.live.version)
    return f"version {version} is retired"
