"""The classifier, or the model of several classes, goes live beside the segmentation: verified, started, asked its
known answers, made the default.

There is one version of each at a time and no trial: what was there before answers until the new one has, and goes once
nothing is left in its queue. ``types.json`` and ``regions.json`` in the state folder say what the next start of the
server loads, ``types-before.json`` and ``regions-before.json`` what was live before that: files of their own, for
builds of before would not read the others."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import requests

from archive.known import difference
from archive.store import BESIDE, REGIONS_NAME, TYPES_NAME
from archive.verify import Release
from handler.files import sha256_of, write_atomic
from rollout import history
from rollout.errors import ArchiveError, GateError, RolloutError, StartError, UsageError
from rollout.register import POLL_SECONDS, check_disks, copy_archive
from rollout.server import TorchServe, Version
from settings.mapping import SettingsError, from_mapping

FILES = {TYPES_NAME: "types.json", REGIONS_NAME: "regions.json"}
BEFORE_FILES = {TYPES_NAME: "types-before.json", REGIONS_NAME: "regions-before.json"}
WORDS = {TYPES_NAME: "classifier", REGIONS_NAME: "model of several classes"}
DRAIN_SECONDS = 60.0  # a class takes milliseconds: who still waits after it has gone away


@dataclass(frozen=True)
class DeployedTypes:
    """``archive``: its file in the model store; ``sha256``: ``sha256:<hex>`` of that file."""

    version: str
    archive: str
    sha256: str


def check_is_segmentation(release: Release) -> None:
    """Raises :class:`UsageError` for a model beside the segmentation, where a version is compared with the live one."""
    if release.card.name in BESIDE:
        raise UsageError(f"{release.card.name} has no trial; deploy it with ./scripts/deploy {release.file_name}")


def read_types(state: Path, model: str = TYPES_NAME) -> DeployedTypes | None:
    """What the state folder declares of ``model``; None when none was ever deployed. Raises :class:`RolloutError` for a
    file that is not ours."""
    return _read(state / FILES[model], model)


def read_before(state: Path, model: str = TYPES_NAME) -> DeployedTypes | None:
    """What ``scripts/deploy rollback`` would bring back; None where there is nothing. Raises as :func:`read_types`."""
    found, live = _read(state / BEFORE_FILES[model], model), read_types(state, model)
    return None if found is None or live is None or found.version == live.version else found


def write_types(path: Path, deployed: DeployedTypes) -> None:
    """Writes it whole or not at all."""
    write_atomic(path, (json.dumps(asdict(deployed), indent=1) + "\n").encode())


def _read(path: Path, model: str) -> DeployedTypes | None:
    try:
        return from_mapping(DeployedTypes, json.loads(path.read_text(encoding="utf-8")), path.name)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, SettingsError) as error:
        raise RolloutError(f"{path} cannot be read: {error}. Remove it and deploy {model} again.") from error


def types_to_serve(state: Path, store: Path, model: str = TYPES_NAME) -> DeployedTypes | None:
    """As :func:`read_types`, for a server that starts. Raises :class:`RolloutError` when the archive is not the one
    that was deployed."""
    found = read_types(state, model)
    if found is None:
        return None
    path = store / found.archive
    if not path.is_file() or sha256_of(path) != found.sha256:
        raise RolloutError(
            f"{path} is not the {WORDS[model]} that was deployed. Put that back, or remove {state / FILES[model]}"
        )
    return found


def deploy_types(state: Path, release: Release, operator: str, seconds: float) -> str:
    """Brings ``release`` live; a line that says what became of it. ``seconds``: for its start. Raises the error that
    says why it is not live; then what was there before still answers."""
    model = release.card.name
    server = TorchServe(state, model)
    before = versions_of(server)
    subject = DeployedTypes(release.version, release.file_name, release.sha256)
    if (there := before.get(release.version)) and there.archive != release.file_name:
        raise ArchiveError(
            f"version {release.version} exists with other bytes, and versions never change: package this release under "
            "another number"
        )
    check_disks(release, server.store, state)
    try:
        if there is None:
            copy_archive(release, server.store)
            start(server, release, seconds)
        check_answers(server, release)
    except RolloutError:
        if there is None:
            take_out(server, release.version)
            (server.store / release.file_name).unlink(missing_ok=True)
        raise
    former = _former(state, server, before, model, release.version)
    server.set_default(release.version)
    if former is not None:
        write_types(state / BEFORE_FILES[model], former)
    write_types(state / FILES[model], subject)
    old = [version for version in before if version != release.version]
    named, why = f"{model} {release.version}", "gave its known answers"
    history.append(state, history.Event(operator, named, release.sha256, "promoted", why, ", ".join(old)))
    for version in old:
        take_out(server, version)
    return f"{model} {release.version} is live" + (f"; {', '.join(old)} is gone" if old else "")


def _former(
    state: Path, server: TorchServe, before: Mapping[str, Version], model: str, version: str
) -> DeployedTypes | None:
    """What is live before ``version`` is: declared, or found in the store by a start without a deploy."""
    declared = read_types(state, model)
    if declared is not None:
        return declared if declared.version != version else read_before(state, model)
    found = next((one for one in before.items() if one[0] != version), None)
    if found is None or not (server.store / found[1].archive).is_file():
        return None
    return DeployedTypes(found[0], found[1].archive, sha256_of(server.store / found[1].archive))


def versions_of(server: TorchServe) -> dict[str, Version]:
    """Of the server's model; none where TorchServe has no such model."""
    try:
        return server.versions()
    except RolloutError as error:
        if error.code == RolloutError.code and ": 404 " in str(error):
            return {}
        raise


def start(server: TorchServe, release: Release, seconds: float) -> None:
    """Loads the archive, which lies in the store. Raises :class:`StartError` without a READY worker by then."""
    begin = time.monotonic()
    try:
        server.register(release.file_name, seconds)
        while not ((found := server.version(release.version)) and found.complete):
            if time.monotonic() - begin > seconds:
                raise requests.Timeout
            time.sleep(POLL_SECONDS)
    except requests.Timeout as error:
        raise StartError(f"version {release.version} had no READY worker after {seconds:.0f} s") from error


def check_answers(server: TorchServe, release: Release) -> None:
    """Raises :class:`GateError` where an answer is another than at packaging."""
    for known in release.card.known_answers:
        reply = server.predict(release.samples[str(known["sample"])], release.version)
        wrong = difference(known, reply.json()) if reply.ok else f"status {reply.status_code}"
        if wrong:
            raise GateError(f"version {release.version} does not give its known answers: {known['sample']}: {wrong}")


def take_out(server: TorchServe, version: str) -> None:
    """Unregisters ``version`` once its queue is empty; one with queued requests would hang."""
    deadline = time.monotonic() + DRAIN_SECONDS
    while (found := server.version(version)) and found.pending and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    if not found or found.pending or (found.ready and not server.barrier(version, DRAIN_SECONDS)):
        return
    try:
        server.unregister(version)
    except RolloutError as error:
        if error.code != RolloutError.code:
            raise  # the one version of a model, which is its default, can stay: nobody asks it
