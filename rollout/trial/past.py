"""What a version's last trial as a shadow has shown counts when it is to go live."""

from __future__ import annotations

from archive.verify import Release
from rollout import history
from rollout.errors import GateError
from rollout.limits import LIMITS_FILE
from rollout.site import Site

SHADOWED = "shadowed"


def check_shadowed(site: Site, release: Release) -> None:
    """Raises :class:`GateError` when the same bytes were last seen, as a shadow, to disagree with the live version by
    more than the limits of today: measured against another live version, they are another question."""
    live = site.deployment().live.version
    for event in reversed(history.read(site.state)):
        if (event.sha256, event.before) != (release.sha256, live) or "shadow_compared" not in event.figures:
            continue
        limits, figures = site.limits.shadow, event.figures
        lost = 1 - figures["shadow_dice"] if figures["shadow_dice"] is not None else 0.0
        assessed = max(1, figures["shadow_compared"] - figures["shadow_failures"])
        if figures["shadow_compared"] < limits.min_compared and event.decision == SHADOWED:
            return
        if (
            lost > limits.disagreement
            or figures["shadow_flips"] / assessed > limits.flips
            or figures["shadow_failures"] / max(1, figures["shadow_compared"]) > limits.failures
        ):
            raise GateError(
                f"as a shadow of {live}, at {event.time}, version {release.version} disagreed too much: "
                f"{event.reason}. If that is meant, raise the limits of 'shadow' in {LIMITS_FILE.name}, or try it "
                "as a shadow again."
            )
        return
