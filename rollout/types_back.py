"""``scripts/deploy rollback --model brainseg-types`` (or ``brainseg-regions``): the version of before answers again."""

from __future__ import annotations

from pathlib import Path

from archive.verify import Release
from rollout import history
from rollout.errors import NoServerError, NoTargetError, RolloutError
from rollout.server import TorchServe, Version
from rollout.trusted import check_signers, trusted_release
from rollout.types import (
    BEFORE_FILES,
    FILES,
    DeployedTypes,
    check_answers,
    read_before,
    read_types,
    start,
    take_out,
    versions_of,
    write_types,
)


def roll_back_types(state: Path, model: str, operator: str, seconds: float) -> str:
    """Back to the version of ``model`` that was live before; what was done, in words. ``seconds``: for its start.

    Its archive is verified, its signature where one is asked for, and its known answers, before it is the one that is
    asked. Where no server runs, the next start follows. Raises :class:`NoTargetError` where there is nothing to go back
    to, :class:`RolloutError` where it cannot be loaded any more; then nothing has changed."""
    live, target = read_types(state, model), read_before(state, model)
    if live is None:
        raise NoTargetError(f"no {model} was ever deployed with the state folder {state}")
    if target is None:
        raise NoTargetError(f"there is no {model} before {live.version} to roll back to")
    try:
        server = TorchServe(state, model)
        there = versions_of(server)
    except NoServerError:
        _declare(state, model, live, target, operator, "asked for by the operator; the server did not run")
        return f"no server runs; its next start brings {model} {target.version} instead of {live.version}"
    _load(server, state, target, there, seconds)
    server.set_default(target.version)
    _declare(state, model, live, target, operator, "asked for by the operator")
    take_out(server, live.version)
    return f"{model} {target.version} is live; {live.version} is taken back"


def _load(server: TorchServe, state: Path, target: DeployedTypes, there: dict[str, Version], seconds: float) -> None:
    release = _unchanged(server, state, target)
    found = there.get(target.version)
    if found is not None and found.archive != target.archive:
        raise RolloutError(f"version {target.version} is loaded from {found.archive}, not from {target.archive}")
    try:
        if found is None:
            start(server, release, seconds)
        check_answers(server, release)
    except RolloutError:
        if found is None:
            take_out(server, target.version)
        raise


def _unchanged(server: TorchServe, state: Path, target: DeployedTypes) -> Release:
    path = server.store / target.archive
    if not path.is_file():
        raise RolloutError(f"{path} is not there any more; put it back, or deploy another version")
    release = trusted_release(path, target.sha256)
    if release.sha256 != target.sha256:
        raise RolloutError(f"{target.archive} has digest {release.sha256}; {target.sha256} was deployed. Put it back.")
    check_signers(release, target.archive, state)  # a key may have been taken out of the trusted ones since
    return release


def _declare(state: Path, model: str, live: DeployedTypes, target: DeployedTypes, operator: str, reason: str) -> None:
    write_types(state / FILES[model], target)
    (state / BEFORE_FILES[model]).unlink(missing_ok=True)
    named = f"{model} {live.version}"
    history.append(state, history.Event(operator, named, live.sha256, "rolled-back", reason, live.version))
