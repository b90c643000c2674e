"""Whose a state folder is: of one running server, and of nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from archive.store import KEY_FILE
from rollout.file_lock import held
from rollout.lock import LOCK_FILE as DEPLOY_LOCK
from rollout.state import DEPLOYMENT_FILE

LOCK_FILE = "serve.lock"
# Any of these tells a state folder; what else lies in it does not matter then.
_OURS = {LOCK_FILE, DEPLOY_LOCK, DEPLOYMENT_FILE, KEY_FILE, "config.properties", "logs"}
_OF_ANY_VOLUME = {"lost+found"}
# What a server consists of, by a word of its command line: TorchServe's launcher, JVM and workers, and the front door.
_PARTS = ("ts.model_server", "org.pytorch.serve.ModelServer", "model_service_worker.py", "web.server")
_END_SECONDS = 10


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


def end_left_behind(state: Path) -> int:
    """Ends what a ``scripts/serve`` that was killed hard has left running on ``state``, whose owner the caller is; how
    many processes. It would hold the ports, and its keys and sockets are about to be replaced."""
    left = [process for process in psutil.process_iter() if _is_part(process, f"{state.resolve()}/")]
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, stubborn = psutil.wait_procs(left, _END_SECONDS)
    for process in stubborn:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(stubborn, _END_SECONDS)
    return len(left)


def _is_part(process: psutil.Process, folder: str) -> bool:
    try:
        words = process.cmdline()
    except psutil.Error:  # gone, or another user's
        return False
    return any(word.endswith(_PARTS) for word in words) and any(word.startswith(folder) for word in words)
