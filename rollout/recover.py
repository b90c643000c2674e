"""From whatever a kill left behind to what is declared; and a candidate's way out."""

from __future__ import annotations

from exchange.trial import STOPPED
from rollout.drain import remove, wait_idle
from rollout.errors import NoServerError, RolloutError
from rollout.promote import go_back
from rollout.register import start
from rollout.site import Site, drop_archive
from rollout.state import Deployed, Deployment, Phase
from rollout.trial.book import end

WITHDRAW_SECONDS = 30.0  # a candidate answers nobody but the gate and a trial, and whoever guessed its name

_SAID = {
    Phase.PROMOTING: "it was not watched and is taken back",
    Phase.WATCHING: "its watch did not come to its end and it is taken back",
    Phase.RETIRING: "it is retired",
    Phase.ROLLING_BACK: "the rollback was completed",
}


def recover(site: Site, deployment: Deployment) -> Deployment:
    """Brings TorchServe to ``deployment`` and ends the change that another process left unfinished, if any. Raises
    :class:`RolloutError` when someone has set another default by hand."""
    change = deployment.change
    if change is None:
        if (default := site.server.default()) != deployment.live.version:
            raise RolloutError(
                f"TorchServe's default is {default}, but {deployment.live.version} is declared live: someone set it by "
                f"hand. Set {deployment.live.version} again, or roll back with 'scripts/deploy rollback'."
            )
        return deployment
    said = _SAID.get(Phase(change.phase), "it was not live yet and is removed")
    site.say(f"an earlier deploy of {change.subject.version} ended in phase {change.phase}: {said}")
    reconcile(site, deployment)
    if change.phase in (Phase.PROMOTING, Phase.WATCHING):
        after = go_back(site, deployment)
        site.log(change.subject, "rolled-back", f"in phase {change.phase}: {said}", change.subject.version)
        return after
    settled = withdraw(site, deployment, change.subject)
    site.log(change.subject, "interrupted", f"in phase {change.phase}: {said}", settled.live.version)
    return settled


def reconcile(site: Site, deployment: Deployment) -> None:
    """Loads what is declared and not there, and makes the live version the default."""
    there = site.server.versions()
    for one in deployment.loaded:
        if one.version not in there:
            start(site.server, one.version, one.archive, site.limits.start)
    if site.server.default() != deployment.live.version:
        site.server.set_default(deployment.live.version)


def withdraw(site: Site, deployment: Deployment, subject: Deployed) -> Deployment:
    """Removes ``subject`` from the server and the store where ``deployment`` does not need it there; nothing is under
    way any more. A server that is gone is no hindrance: it will start from what is declared. What the version on trial
    has in work goes to the live one at once: see :mod:`web.shares.shares`."""
    end(site.state, STOPPED)
    if not deployment.serves(subject.version):
        try:
            if site.server.default() != deployment.live.version:
                site.server.set_default(deployment.live.version)
            wait_idle(site.server, subject.version, WITHDRAW_SECONDS)
            remove(site.server, subject.version)
        except NoServerError as error:
            site.say(f"the server is gone ({error}); its next start will be without {subject.version}")
        except RolloutError as error:
            site.say(f"version {subject.version} could not be removed ({error}); the next deploy tries again")
            return deployment
    # First what takes room: on a full disk nothing could be written down before.
    drop_archive(site.server.store, site.state, subject, deployment.settled())
    return site.save(deployment.settled())
