"""Several servers may share a model store. Each state folder is named in it, so that no server deletes an archive that
another's ``deployment.json`` needs."""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from handler.files import write_atomic
from rollout.errors import RolloutError
from rollout.file_lock import keep_owner
from rollout.state import DEPLOYMENT_FILE, Deployment, read_deployment

FOLDER = ".in-use"


@contextmanager
def guarded(store: Path) -> Iterator[None]:
    """One at a time, over all servers: who writes down what it needs, or looks what others need and deletes. Short, so
    waited for."""
    folder = store / FOLDER
    if not folder.exists():
        folder.mkdir(exist_ok=True)
        folder.chmod(stat.S_IMODE(store.stat().st_mode))  # whoever may write archives may name what it needs
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        keep_owner(descriptor, store)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def register(store: Path, state: Path) -> None:
    """Names ``state`` in ``store``. Under :func:`guarded`."""
    state = state.resolve()
    entry = store / FOLDER / hashlib.sha256(os.fsencode(state)).hexdigest()[:16]
    if not entry.exists():
        write_atomic(entry, os.fsencode(state))


def needed_elsewhere(store: Path, state: Path) -> set[str]:
    """File names of the archives that other states than ``state`` need, what they are copying included. Under
    :func:`guarded`. A state folder that is gone needs nothing; raises :class:`RolloutError` for one that cannot be
    read, since nobody knows what it needs."""
    names: set[str] = set()
    for entry in sorted((store / FOLDER).iterdir()):
        if entry.name.startswith("."):  # a kill left it half written
            continue
        other = Path(os.fsdecode(entry.read_bytes()))
        if other == state.resolve():
            continue
        deployment = read_deployment(other)
        if deployment is None and not _there(other):
            entry.unlink()
        names |= archives_of(deployment)
    return names


def archives_of(deployment: Deployment | None) -> set[str]:
    """File names of all that ``deployment`` needs, what is under way included."""
    if deployment is None:
        return set()
    under_way = (deployment.change.subject,) if deployment.change else ()
    return {one.archive for one in (*deployment.known, *under_way)}


def _there(state: Path) -> bool:
    try:
        (state / DEPLOYMENT_FILE).parent.stat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise RolloutError(f"the state folder {state} cannot be looked into: {error}") from error
    return True
