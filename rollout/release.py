"""``scripts/deploy ARCHIVE``: a verified release all the way to being the live version, or back out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

from archive.verify import Release
from rollout.errors import ArchiveError, NoServerError, RolledBackError, RolloutError, StoppedError, TakenBackError
from rollout.gate import run_gate
from rollout.promote import go_back, promote, take_out
from rollout.recover import withdraw
from rollout.register import check_disks, check_room, copy_archive, start
from rollout.site import Site, drop_archive
from rollout.state import Deployed, Deployment, Phase, now, without
from rollout.watch import Record, Seen, Watch, record_of

if TYPE_CHECKING:
    from training.data.slices import LabelledSlice


@dataclass(frozen=True)
class Shown:
    """What moves on the terminal: a bar with a title and a length, and the watch's figures."""

    counting: Callable[[str, int], Callable[[], None]]
    watching: Callable[[Seen], None]


Trial = Callable[[Deployment, Deployed], dict[str, Any]]


def _no_trial(_deployment: Deployment, _subject: Deployed) -> dict[str, Any]:
    return {}


def check_version(site: Site, deployment: Deployment, release: Release) -> None:
    """Raises :class:`ArchiveError` when the version's name is taken: a version never changes what it is."""
    if deployment.live.version == release.version:
        same = deployment.live.sha256 == release.sha256
        raise ArchiveError(f"version {release.version} is live already" if same else _TAKEN.format(release.version))
    known = deployment.find(release.version)
    if known is not None and known.sha256 != release.sha256:
        raise ArchiveError(_TAKEN.format(release.version))
    if known is None and site.server.version(release.version) is not None:
        raise ArchiveError(
            f"TorchServe has a version {release.version} that was not deployed by this command; unregister it"
        )


_TAKEN = (
    "version {0} exists with other bytes, and versions never change: package this release under another number, as in "
    "./scripts/package {0} --as {0}.1"
)


def release(
    site: Site,
    deployment: Deployment,
    release: Release,
    scans: Sequence[LabelledSlice],
    shown: Shown,
    trial: Trial = _no_trial,
) -> None:
    """Brings ``release`` live beside ``deployment``, which must have nothing under way. ``trial``: what it must pass
    between its gate and its promotion, given what is declared and the version; its figures. Raises the error that says
    why it is not live in the end, after everything was put back."""
    subject = Deployed(release.version, release.file_name, release.sha256, now())
    try:
        figures = try_out(site, deployment, release, subject, scans, shown)
        figures |= trial(deployment, subject)
        with site.stopping.shielded():
            record = _record(site, deployment, figures)
            after = promote(site, deployment, subject)
            watch = Watch(site.server, release, record, site.limits.watch, site.renew)
            passed = "passed the gate" if trial is _no_trial else "passed the gate and its trial"
            site.log(subject, "promoted", passed, deployment.live.version, figures)
            site.say(
                f"version {subject.version} is live and watched for {site.limits.watch.seconds:g} s; "
                f"{deployment.live.version} stays beside it"
            )
    except Exception as error:  # whatever it was: the candidate goes, the live version stays
        if isinstance(error, StoppedError) and site.deployment().live.version == subject.version:
            _roll_back(site, site.deployment(), Seen(breach="stopped while it was promoted"), error)
        back_out(site, deployment, subject, error)
        raise
    _after_promotion(site, after, watch, shown)


def _record(site: Site, deployment: Deployment, figures: dict[str, Any]) -> Record:
    """The record of the version that is live still, to watch the next one by; added to ``figures``."""
    enough = site.limits.watch.min_requests
    record = record_of(site.server, deployment.live.version, figures["live_p95_seconds"], enough)
    figures |= {"record_error_rate": record.error_rate, "record_p95_seconds": record.p95_seconds}
    return record


def try_out(
    site: Site,
    deployment: Deployment,
    release: Release,
    subject: Deployed,
    scans: Sequence[LabelledSlice],
    shown: Shown,
) -> dict[str, Any]:
    """Copies, starts and gates the candidate; the gate's figures."""
    check_room(site.server)
    check_disks(release, site.server.store, site.state)
    if not deployment.serves(subject.version):
        site.enter(deployment, Phase.COPYING, subject)
        copy_archive(release, site.server.store)
        site.say(f"copied to {subject.archive}")
        site.enter(deployment, Phase.STARTING, subject)
        site.say(f"waiting for the workers of version {subject.version}, at most {site.limits.start.seconds:g} s")
        seconds = start(site.server, subject.version, subject.archive, site.limits.start)
        site.say(f"version {subject.version} has started beside {deployment.live.version} in {seconds:.1f} s")
    site.enter(deployment, Phase.GATING, subject)
    return run_gate(
        site.server,
        release,
        deployment.live.version,
        scans,
        site.limits,
        lambda check: site.say(
            f"gate, {check.name}: {check.said}" + (f": REFUSED, {check.breach}" if check.breach else "")
        ),
        shown.counting,
    )


def back_out(site: Site, deployment: Deployment, subject: Deployed, error: Exception) -> None:
    """Removes the candidate, and writes down why."""
    with site.stopping.shielded():
        withdraw(site, deployment, subject)
        decision = "stopped" if isinstance(error, StoppedError) else "refused"
        decision = "taken-back" if isinstance(error, TakenBackError) else decision
        figures = error.figures if isinstance(error, RolloutError) else {}
        try:
            site.log(subject, decision, str(error), deployment.live.version, figures)
        except OSError as unwritten:  # a full disk, say: what led here is to be told, not this
            site.say(f"the history could not be written: {unwritten}")
        site.say(f"version {subject.version} is removed; {deployment.live.version} stays live")


def _after_promotion(site: Site, deployment: Deployment, watch: Watch, shown: Shown) -> None:
    before = deployment.previous[-1]
    try:
        seen = watch.run(shown.watching)
    except StoppedError as error:
        _roll_back(site, deployment, replace(watch.seen, breach=f"its watch ended early ({error})"), error)
    except NoServerError as error:
        # What is declared stays on trial: the next start takes it back.
        reason = f"its watch ended early ({error}); the server's next start brings {before.version} back"
        site.log(deployment.live, "stopped", reason, before.version, watch.seen.figures())
        raise NoServerError(f"version {deployment.live.version}: {reason}") from error
    if seen.breach:
        _roll_back(site, deployment, seen)
    site.say(f"watched for {seen.seconds:.0f} s: {seen.failed:.0f} of {seen.requests:.0f} requests failed")
    site.log(deployment.live, "kept", "no limit was broken while it was watched", before.version, seen.figures())
    deployment = site.save(deployment.settled())
    grace = site.limits.drain.grace_seconds
    site.say(f"waiting {grace:g} s for those who ask for version {before.version} by name, then it is retired")
    time.sleep(grace)
    _retire_old(site, deployment)


def _roll_back(site: Site, deployment: Deployment, seen: Seen, told: StoppedError | None = None) -> NoReturn:
    failed, before = deployment.live, deployment.previous[-1]
    with site.stopping.shielded():
        site.say(f"ROLLING BACK: {seen.breach}")
        go_back(site, deployment)
        site.log(failed, "rolled-back", seen.breach, failed.version, seen.figures())
    reason = f"version {failed.version} was rolled back to {before.version}: {seen.breach}"
    raise StoppedError(reason) if told else RolledBackError(reason, seen.figures())


def _retire_old(site: Site, deployment: Deployment) -> None:
    """Takes out what was live before, and forgets what is too old to go back to."""
    names = [one.version for one in deployment.previous]
    for old in [one for one in deployment.served if one.version in names]:
        deployment = replace(deployment, served=without(deployment.served, old.version))
        site.enter(deployment, Phase.RETIRING, old)
        deployment = take_out(site, deployment, old)
        if not deployment.serves(old.version):
            site.log(old, "retired", f"{deployment.live.version} took its place", deployment.live.version)
    forgotten = deployment.previous[: -site.limits.keep_previous]
    deployment = site.save(replace(deployment, previous=deployment.previous[len(forgotten) :], change=None))
    for one in forgotten:
        drop_archive(site.server.store, site.state, one, deployment)
