"""Which archives are served: those that were deployed, else those that are released, packaged where missing."""

from __future__ import annotations

import contextlib
import shlex
import signal
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from archive.inputs import why_stale
from archive.programs import environment, python
from archive.store import (
    MODEL_NAME,
    ROOT,
    TYPES_NAME,
    archive_path,
    default_version,
    release_folder,
    released_versions,
)
from archive.verify import read_release
from rollout.in_use import guarded, register
from rollout.signers import Signers
from rollout.state import Phase, check_archives, read_deployment
from rollout.types import types_to_serve as deployed_beside
from rollout.unwatched import take_back_at_start
from serving.older import older
from serving.running import StartError, end
from serving.torchserve import Places

console = Console(soft_wrap=True, highlight=False)
WATCH_SECONDS = 0.5


def _archives(store: Path, told: threading.Event, signers: Signers, model: str = MODEL_NAME) -> list[str]:
    """Packages what is missing or stale; the released versions. Raises ``StartError`` where packaging fails or is told
    to end, and where signatures are required, which only whoever has the key can make."""
    versions = released_versions(store, model)
    paths = {one: archive_path(one, store, model) for one in versions}
    reasons = {one: why_stale(paths[one], release_folder(one, store, model)) for one in versions}
    stale = [one for one, reason in reasons.items() if reason]
    other = "" if model == MODEL_NAME else f"--model {model} "
    if stale and signers.required:
        raise StartError(
            f"signed archives are required and {paths[stale[0]].name} is not to be had: "
            f"{reasons[stale[0]]}. Make it where the key is: "
            f"./scripts/package {' '.join(stale)} {other}--model-store {shlex.quote(str(store))} --sign KEY"
        )
    for one in stale:
        console.print(f"packaging {escape(paths[one].name)}: {escape(reasons[one])}")
    if stale:
        # In a process of its own: what packaging needs (torch above all) would otherwise stay in this one's memory, and
        # take its time to be imported at every start.
        command = python("-m", "archive", *stale, "--model-store", str(store.resolve()), "--model", model)
        process = subprocess.Popen(command, cwd=ROOT, env=environment(), start_new_session=True)
        while process.poll() is None:
            if told.wait(WATCH_SECONDS):
                end(process, signal.SIGINT)  # which lets it remove its temporary files
        if process.returncode:
            raise StartError("packaging failed, its message is above.")
    return versions


def _check_signed(signers: Signers, archives: Mapping[str, str], store: Path, deployed: Mapping[str, str]) -> None:
    """``archives``: file names by version; ``deployed``: digests by version, of what was deployed. Raises
    :class:`UntrustedError`; says in a line that nobody asked, where nobody did."""
    if not signers.required:
        console.print("[yellow]warning:[/] signatures of archives are not checked (--require-signed)")
        return
    for version, name in archives.items():
        line = signers.check(read_release(store / name, deployed.get(version, "")), name)
        console.print(escape(line))


def to_serve(places: Places, told: threading.Event, signers: Signers) -> tuple[dict[str, str], str]:
    """Archives by version and the default: what ``scripts/deploy`` has deployed, else what is released."""
    store = places.model_store
    take_back_at_start(places.state, store, console.print)
    deployment = read_deployment(places.state)
    if deployment is None:
        archives = {version: archive_path(version, store).name for version in _archives(store, told, signers)}
        _check_signed(signers, archives, store, {})
        return archives, default_version(store)
    with contextlib.suppress(OSError), guarded(store):  # one that is only read here cannot lose an archive by us
        register(store, places.state)
    check_archives(deployment, store, places.state)
    for line in older(deployment, store, places.state):
        console.print(escape(line))
    others = ", ".join(one.version for one in deployment.served) or "none"
    console.print(escape(f"deployed by scripts/deploy: {deployment.live.version} is live, beside it {others}"))
    if deployment.change:
        on_trial = Phase(deployment.change.phase).on_trial  # else it was taken back above
        said = (
            "is on trial: who watches loads it again" if on_trial else "was left unfinished; the next one cleans it up"
        )
        console.print(escape(f"a deploy of {deployment.change.subject.version} {said}"))
    archives = {one.version: one.archive for one in deployment.loaded}
    _check_signed(signers, archives, store, {one.version: one.sha256 for one in deployment.loaded})
    return archives, deployment.live.version


def beside_to_serve(places: Places, told: threading.Event, signers: Signers, model: str) -> dict[str, str]:
    """The archive of ``model`` by version, empty where there is none: what ``scripts/deploy`` has deployed; of the
    classifier else the latest that is released. A demonstration is served where somebody has deployed it."""
    store = places.model_store
    deployed = deployed_beside(places.state, store, model)
    if deployed is not None:
        archives = {deployed.version: deployed.archive}
        _check_signed(signers, archives, store, {deployed.version: deployed.sha256})
        return archives
    if model != TYPES_NAME:
        return {}
    archives = {one: archive_path(one, store, model).name for one in _archives(store, told, signers, model)[-1:]}
    if archives:
        _check_signed(signers, archives, store, {})
    return archives
