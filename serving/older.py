"""What an older build deployed, and how it is brought up to this one."""

from __future__ import annotations

import shlex
from pathlib import Path

from archive.inputs import build_digest
from archive.store import MODEL_STORE, archive_path, release_folder
from archive.verify import Release, read_release
from handler.card import CARD_FILE, read_card
from rollout.state import Deployed, Deployment


def verified(deployment: Deployment, store: Path) -> list[tuple[Deployed, Release]]:
    """What is to be loaded, verified as before it was deployed. Raises :class:`UntrustedError`."""
    return [(one, read_release(store / one.archive, one.sha256)) for one in deployment.loaded]


def older(deployment: Deployment, store: Path, state: Path) -> list[str]:
    """A line for each loaded version that another build packaged: that it goes on as it was deployed, and the command
    that brings it up. A version never changes, so that is one of a new number, which must prove itself like any."""
    build = build_digest()
    return [
        _line(one, release, deployment, store, state)
        for one, release in verified(deployment, store)
        if release.digests is None or release.digests.build != build
    ]


def _line(one: Deployed, release: Release, deployment: Deployment, store: Path, state: Path) -> str:
    said = f"version {one.version} is older than this build and goes on with the code it was deployed with"
    source = _source(one.version, store)
    if source is None:
        return f"{said}; package its release folder under a new number to bring it up"
    if read_card(release_folder(source, store)).weights.sha256 != release.card.weights.sha256:
        said += f" (with other weights than {source} has here)"
    number = _next_number(source, deployment, store)
    words = ["./scripts/package", source, "--as", number]
    words += [] if store == MODEL_STORE else ["--model-store", str(store)]
    deploy = ["./scripts/deploy", str(archive_path(number, store)), "--state", str(state)]
    return f"{said}; to bring it up: {shlex.join(words)} && {shlex.join(deploy)}"


def _source(version: str, store: Path) -> str | None:
    """The release that ``version`` is of: 2.0 for 2.0 and for 2.0.1."""
    parts = version.split(".")
    names = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return next((name for name in names if (release_folder(name, store) / CARD_FILE).is_file()), None)


def _next_number(source: str, deployment: Deployment, store: Path) -> str:
    """The first of 2.0.1, 2.0.2, … that is not taken."""
    count = 1
    while deployment.find(f"{source}.{count}") or release_folder(f"{source}.{count}", store).exists():
        count += 1
    return f"{source}.{count}"
