"""``deployment.json`` in the state folder: what is deployed, as it should be. Written before each step is taken, so
that whoever reads it after a kill (``scripts/serve``, the next ``scripts/deploy``) knows where to go from there."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from handler.files import sha256_of, write_atomic
from rollout.errors import RolloutError
from settings.mapping import SettingsError, from_mapping

DEPLOYMENT_FILE = "deployment.json"
FORMAT = 1


class Phase(StrEnum):
    """How far a change has come. Up to ``RESTORING`` the live version is still the one before."""

    COPYING = "copying"
    STARTING = "starting"
    GATING = "gating"
    CANARY = "canary"
    SHADOW = "shadow"
    RESTORING = "restoring"
    PROMOTING = "promoting"
    WATCHING = "watching"
    RETIRING = "retiring"
    ROLLING_BACK = "rolling-back"

    @property
    def before_promotion(self) -> bool:
        """Whether the change concerns a version that is not live yet."""
        return self in (Phase.COPYING, Phase.STARTING, Phase.GATING, Phase.RESTORING) or self.on_trial

    @property
    def on_trial(self) -> bool:
        """Whether the version gets requests, or copies of them, beside the live one."""
        return self in (Phase.CANARY, Phase.SHADOW)


@dataclass(frozen=True)
class Deployed:
    """A version. ``archive``: its file in the model store; ``sha256``: ``sha256:<hex>`` of that file; ``since``: when
    it became what it is (live, served beside it, …), UTC in ISO 8601."""

    version: str
    archive: str
    sha256: str
    since: str


@dataclass(frozen=True)
class Change:
    """What is under way. ``subject``: the version it is about; ``operator``: who started it, as given; ``began``: the
    change; ``entered``: its phase, empty in what was written before there was this field."""

    phase: str
    subject: Deployed
    operator: str
    began: str
    entered: str = ""

    @property
    def before_promotion(self) -> bool:
        return Phase(self.phase).before_promotion


@dataclass(frozen=True)
class Deployment:
    """``live``: answers when no version is named; ``served``: loaded beside it; ``previous``: what was live before,
    the latest last, to roll back to (loaded only if among ``served``); ``change``: what is under way."""

    live: Deployed
    served: tuple[Deployed, ...] = ()
    previous: tuple[Deployed, ...] = ()
    change: Change | None = None

    @property
    def loaded(self) -> tuple[Deployed, ...]:
        """All that TorchServe should have, the live version first."""
        return (self.live, *self.served)

    @property
    def known(self) -> tuple[Deployed, ...]:
        """All whose archives are needed."""
        return (*self.loaded, *self.previous)

    def find(self, version: str) -> Deployed | None:
        """The version among :attr:`known`."""
        return next((one for one in self.known if one.version == version), None)

    def serves(self, version: str) -> bool:
        """Whether TorchServe should have ``version``."""
        return any(one.version == version for one in self.loaded)

    def in_phase(self, phase: Phase, subject: Deployed, operator: str) -> Deployment:
        """The same with ``phase`` under way; a change of the same subject keeps its beginning."""
        same = self.change is not None and self.change.subject.version == subject.version
        entered = now()
        began = self.change.began if same and self.change else entered
        return replace(self, change=Change(phase.value, subject, operator, began, entered))

    def settled(self) -> Deployment:
        """The same with nothing under way."""
        return replace(self, change=None)


def without(versions: Iterable[Deployed], *names: str) -> tuple[Deployed, ...]:
    """``versions`` but those called ``names``."""
    return tuple(one for one in versions if one.version not in names)


def now() -> str:
    """The time, UTC, to the second."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


def seconds_since(then: str) -> float:
    """Seconds from ``then``, as :func:`now` writes it, until now."""
    return (datetime.now(UTC) - datetime.fromisoformat(then)).total_seconds()


def read_deployment(state: Path) -> Deployment | None:
    """What the state folder declares; None when nothing was ever deployed. Raises :class:`RolloutError` for a file that
    is not ours."""
    path = state / DEPLOYMENT_FILE
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise RolloutError(f"{path} cannot be read: {error}. {_repair(path)}") from error
    try:
        if not isinstance(raw, dict) or raw.pop("format", None) != FORMAT:
            raise SettingsError(f"its format is not {FORMAT}")
        return from_mapping(Deployment, raw, path.name)
    except SettingsError as error:
        raise RolloutError(f"{path} is not a deployment: {error}. {_repair(path)}") from error


def _repair(path: Path) -> str:
    return (
        f"To serve what the model store holds, stop the server and remove the file: rm {shlex.quote(str(path))}; "
        "'scripts/deploy history' tells what was deployed."
    )


def write_deployment(state: Path, deployment: Deployment) -> None:
    """Writes the file whole or not at all."""
    body = {"format": FORMAT, **asdict(deployment)}
    write_atomic(state / DEPLOYMENT_FILE, (json.dumps(body, indent=2) + "\n").encode())


def check_archives(deployment: Deployment, store: Path, state: Path) -> None:
    """Raises :class:`RolloutError` when a loaded version's archive is not the one that was deployed with ``state``."""
    repair = _repair(state / DEPLOYMENT_FILE)
    for one in deployment.loaded:
        path = store / one.archive
        if not path.is_file():
            raise RolloutError(f"{path}, the archive of version {one.version}, is gone. Put it back. {repair}")
        if (found := sha256_of(path)) != one.sha256:
            raise RolloutError(f"{path} has digest {found}; deployed was {one.sha256}. Put that file back. {repair}")
