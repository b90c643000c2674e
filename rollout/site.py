"""What every step works with: the server, its state folder, the limits, the operator, the terminal."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archive.store import MODEL_NAME
from handler.files import sha256_of
from rollout import history
from rollout.errors import RolloutError, StartError
from rollout.file_lock import renew
from rollout.in_use import guarded, needed_elsewhere, register
from rollout.limits import Limits
from rollout.lock import LOCK_FILE
from rollout.server import TorchServe
from rollout.state import Deployed, Deployment, Phase, now, read_deployment, write_deployment
from rollout.stopping import Stopping


@dataclass(frozen=True)
class Site:
    """``say`` prints one line for the operator."""

    server: TorchServe
    limits: Limits
    operator: str
    say: Callable[[str], None]
    stopping: Stopping = field(default_factory=Stopping)

    @property
    def state(self) -> Path:
        return self.server.state

    def save(self, deployment: Deployment) -> Deployment:
        """Writes ``deployment`` down, and returns it."""
        with guarded(self.server.store):
            register(self.server.store, self.state)
            self.renew()
            write_deployment(self.state, deployment)
        return deployment

    def renew(self) -> None:
        """Shows the server that this deploy is at work: see :mod:`rollout.unwatched`."""
        renew(self.state / LOCK_FILE)

    def enter(self, deployment: Deployment, phase: Phase, subject: Deployed) -> Deployment:
        """Writes down that ``phase`` begins."""
        return self.save(deployment.in_phase(phase, subject, self.operator))

    def log(
        self, subject: Deployed, decision: str, reason: str, before: str, figures: Mapping[str, Any] | None = None
    ) -> None:
        """A line for the history."""
        event = history.Event(
            self.operator, subject.version, subject.sha256, decision, reason, before, dict(figures or {})
        )
        history.append(self.state, event)

    def deployment(self) -> Deployment:
        """What is declared; on a server that has only known ``scripts/serve``, what it serves, which is written
        down."""
        found = read_deployment(self.state)
        if found is None:
            with guarded(self.server.store):
                register(self.server.store, self.state)
                found = _adopt(self.server)
                write_deployment(self.state, found)
        return found


def _adopt(server: TorchServe) -> Deployment:
    """What a running server serves, as a deployment. Its archives get a second name with their digest, so that
    packaging anew does not change what is deployed."""
    default, versions = server.default(), server.versions()
    adopted = {name: _keep(server.store, name, found.archive, found.since) for name, found in versions.items()}
    live = adopted.pop(default)
    return Deployment(live, tuple(adopted.values()))


def _keep(store: Path, version: str, archive: str, since: str) -> Deployed:
    source = store / archive
    if not source.is_file():
        raise RolloutError(f"{source}, from which version {version} was loaded, is gone; put it back, then try again")
    digest = sha256_of(source)
    kept = store / f"{MODEL_NAME}-{version}-{digest.removeprefix('sha256:')[:12]}.mar"
    if not kept.exists():
        temporary = kept.with_name(f".{kept.name}.part")
        temporary.unlink(missing_ok=True)
        try:
            try:
                temporary.hardlink_to(source)  # packaging replaces files and never writes into them
            except OSError:
                shutil.copyfile(source, temporary)
            temporary.replace(kept)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise StartError(f"{archive} could not be kept as {kept.name}: {error}. Nothing was changed.") from error
    return Deployed(version, kept.name, digest, since or now())


def drop_archive(store: Path, state: Path, subject: Deployed, deployment: Deployment) -> None:
    """Deletes the archive of ``subject`` unless ``deployment``, that of ``state``, still needs it, or another server
    with this model store; and what a kill left of its copying."""
    with guarded(store):
        try:
            needed = {one.archive for one in deployment.known} | needed_elsewhere(store, state)
        except RolloutError:  # of another state that cannot be read: it may need anything
            return
        if subject.archive not in needed:
            for one in (*store.glob(f".{subject.archive}.*"), store / subject.archive):
                one.unlink(missing_ok=True)
