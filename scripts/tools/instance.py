"""Whose a state folder is: of one running server, and of nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.tools.lock import held
from scripts.tools.places import KEY_FILE
from scripts.tools.rollout.lock import LOCK_FILE as DEPLOY_LOCK
from scripts.tools.rollout.state import DEPLOYMENT_FILE

LOCK_FILE = "serve.lock"
# Any of these tells a state folder; what else lies in it does not matter then.
_OURS = {LOCK_FILE, DEPLOY_LOCK, DEPLOYMENT_FILE, KEY_FILE, "config.properties", "logs"}
_OF_ANY_VOLUME = {"lost+found"}


class StateError(Exception):
    """The state folder cannot be taken; the message says what to do."""


@contextmanager
def owned(state: Path) -> Iterator[None]:
    """Makes ``state`` when missing, closes it to other users, and keeps other servers out of it until the end: a second
    one would take the first one's keys and sockets away. Raises :class:`StateError` when one runs there, or when the
    folder is somebody else's, who would be locked out of it."""
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        names = {path.name for path in state.iterdir()} - _OF_ANY_VOLUME
        if names and not names & _OURS:
            raise StateError(
                f"{state} is no state folder of BrainSeg's: it holds {', '.join(sorted(names)[:3])}. As one it would "
                "be closed to other users; give --state a new folder or an empty one."
            )
        state.chmod(0o700)
    except OSError as error:
        raise StateError(f"{state} cannot be a state folder ({error}); give another one with --state.") from error
    with held(
        state / LOCK_FILE,
        lambda process: StateError(
            f"process {process} serves from {state}. Stop it, or give this server a folder of its own with --state."
        ),
    ):
        yield
