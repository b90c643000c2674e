"""Changing which version is live, forwards and back. Declared first, then done."""

from __future__ import annotations

from dataclasses import replace

from archive.verify import Release
from exchange.trial import PROMOTED, STOPPED
from rollout.drain import remove, retire
from rollout.errors import GateError, NoTargetError, RolloutError
from rollout.parity import check_parity
from rollout.register import start
from rollout.site import Site, drop_archive
from rollout.state import Deployed, Deployment, Phase, now, without
from rollout.trial.book import end
from rollout.trusted import check_signers, trusted_release


def promoted(deployment: Deployment, subject: Deployed) -> Deployment:
    """``deployment`` with ``subject`` live, and what was live before beside it and first to roll back to."""
    before = replace(deployment.live, since=now())
    return Deployment(
        live=replace(subject, since=now()),
        served=(before, *without(deployment.served, subject.version)),
        previous=(*without(deployment.previous, subject.version, before.version), before),
    )


def promote(site: Site, deployment: Deployment, subject: Deployed) -> Deployment:
    """Makes ``subject``, which is loaded, the version that answers."""
    after = promoted(deployment, subject)
    site.enter(after, Phase.PROMOTING, after.live)
    site.server.set_default(subject.version)
    end(site.state, PROMOTED)  # not before: whoever it answered as a canary is not sent back for a moment
    return site.enter(after, Phase.WATCHING, after.live)


def rolled_back(deployment: Deployment) -> Deployment:
    """``deployment`` with the version before live again, and what was live not declared any more. Raises
    :class:`NoTargetError` when there is none."""
    if not deployment.previous:
        raise NoTargetError(f"there is no version before {deployment.live.version} to roll back to")
    target = deployment.previous[-1]
    return Deployment(
        live=replace(target, since=now()),
        served=without(deployment.served, target.version, deployment.live.version),
        previous=without(deployment.previous, target.version),
    )


def go_back(site: Site, deployment: Deployment) -> Deployment:
    """Makes the version before live again, and takes the one that was live out. Raises :class:`NoTargetError`, or
    :class:`RolloutError` when the version before cannot be loaded any more; then nothing has changed."""
    after, failed = rolled_back(deployment), deployment.live
    end(site.state, STOPPED)
    there = site.server.version(after.live.version)
    if there is None or not there.complete:
        _restore(site, deployment, after.live, loaded=there is not None)
    site.enter(after, Phase.ROLLING_BACK, failed)
    site.server.set_default(after.live.version)
    site.say(f"version {after.live.version} answers again")
    return take_out(site, after, failed)


def _restore(site: Site, deployment: Deployment, target: Deployed, loaded: bool) -> None:
    """Loads a version that was retired."""
    release = _unchanged(site, target)
    site.enter(deployment, Phase.RESTORING, target)
    if loaded:
        remove(site.server, target.version)
    try:
        _load(site, target, release)
    except GateError:
        site.save(deployment.settled())
        raise


def load_again(site: Site, target: Deployed) -> None:
    """Loads ``target``, which has passed its gate before: as when the server was started again without it. Raises
    :class:`RolloutError` where its archive is another one, :class:`GateError` where its answers are; then it is not
    loaded."""
    release = _unchanged(site, target)
    if site.server.version(target.version) is not None:
        remove(site.server, target.version)
    _load(site, target, release)


def _unchanged(site: Site, target: Deployed) -> Release:
    release = trusted_release(site.server.store / target.archive, target.sha256)
    if release.sha256 != target.sha256:
        raise RolloutError(f"{target.archive} has digest {release.sha256}; {target.sha256} was deployed. Put it back.")
    check_signers(release, target.archive, site.state)  # a key may have been taken out of the trusted ones since
    return release


def _load(site: Site, target: Deployed, release: Release) -> None:
    """Starts ``target`` and has it prove that it still computes what it did."""
    site.say(f"waiting for the workers of version {target.version}, at most {site.limits.start.seconds:g} s")
    start(site.server, target.version, target.archive, site.limits.start)
    parity = check_parity(site.server, release.card, release.samples)
    if parity.breach:
        remove(site.server, target.version)
        raise GateError(f"version {target.version} does not answer as it did: {parity.breach}")


def take_out(site: Site, deployment: Deployment, subject: Deployed) -> Deployment:
    """Unregisters ``subject``, which ``deployment`` does not declare any more, once it is idle. One that stays busy is
    left in place and declared again; one without workers is removed, since whoever waits for it waits in vain."""
    site.say(f"waiting until version {subject.version} is idle, at most {site.limits.drain.seconds:g} s")
    if not retire(site.server, subject.version, site.limits.drain.seconds):
        found = site.server.version(subject.version)
        if found is not None and found.ready:
            seconds = site.limits.drain.seconds
            site.say(f"version {subject.version} is still busy after {seconds:g} s and stays; retire it later")
            return site.save(replace(deployment, served=(*deployment.served, subject), change=None))
        remove(site.server, subject.version)
    settled = site.save(deployment.settled())
    drop_archive(site.server.store, site.state, subject, settled)
    site.say(f"version {subject.version} is out of the server")
    return settled
